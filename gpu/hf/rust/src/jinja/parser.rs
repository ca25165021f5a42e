// gpu/hf/rust/src/jinja/parser.rs - statements: Jinja2's tags as transformers allows them
// (loop controls and generation blocks; no other templates to include).
use super::ast::*;
use super::lexer::{self, Tag, Token};
use super::{fail, Res};
use std::sync::Arc;

/// A template's nodes, and whether it has generation blocks.
pub fn parse(source: &str) -> Res<(Vec<Node>, bool)> {
    let mut parser = Parser {
        tokens: lexer::tokens(source)?,
        at: 0,
        nesting: 0,
        in_loop: false,
        has_generation: false,
    };
    let (nodes, _) = parser.nodes(&[])?;
    Ok((nodes, parser.has_generation))
}

pub struct Parser {
    pub tokens: Vec<(u32, Token)>,
    pub at: usize,
    pub nesting: u32,
    in_loop: bool,
    has_generation: bool,
}
impl Parser {
    pub fn now(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].1
    }
    pub fn after(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].1
    }
    pub fn line(&self) -> u32 {
        self.tokens[self.at.min(self.tokens.len() - 1)].0
    }
    pub fn fail<T>(&self, why: &str) -> Res<T> {
        fail(format!("syntax error: {why} (line {})", self.line()))
    }
    pub fn unexpected<T>(&self) -> Res<T> {
        let what = match self.now() {
            Token::Eof => "end of template".to_string(),
            Token::Name(name) => format!("'{name}'"),
            Token::Op(op) => format!("'{op}'"),
            Token::End(Tag::Block) => "end of statement block".to_string(),
            Token::End(Tag::Variable) => "end of print statement".to_string(),
            other => format!("{other:?}"),
        };
        self.fail(&format!("unexpected {what}"))
    }
    pub fn is_op(&self, op: &str) -> bool {
        matches!(self.now(), Token::Op(o) if *o == op)
    }
    pub fn is_name(&self, name: &str) -> bool {
        matches!(self.now(), Token::Name(n) if **n == *name)
    }
    pub fn skip_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        self.at += usize::from(found);
        found
    }
    pub fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }
    pub fn expect_op(&mut self, op: &str) -> Res<()> {
        if self.skip_op(op) { Ok(()) } else { self.unexpected() }
    }
    pub fn expect_name(&mut self) -> Res<Str> {
        let Token::Name(name) = self.now().clone() else { return self.unexpected() };
        self.at += 1;
        Ok(name)
    }
    fn expect(&mut self, token: Token) -> Res<()> {
        if *self.now() != token {
            return self.unexpected();
        }
        self.at += 1;
        Ok(())
    }
    pub fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        if self.nesting >= TREE_DEPTH_MAX / 4 {
            return self.fail("nested too deep");
        }
        self.nesting += 1;
        let made = f(self);
        self.nesting -= 1;
        made
    }

    /// Up to one of the end tags, whose name is taken and returned; without any: to the end.
    fn nodes(&mut self, ends: &[&str]) -> Res<(Vec<Node>, String)> {
        let mut out = Vec::new();
        loop {
            let line = self.line();
            match self.now().clone() {
                Token::Data(text) => {
                    self.at += 1;
                    out.push(Node { line, what: Statement::Text(text) });
                }
                Token::Begin(Tag::Variable) => {
                    self.at += 1;
                    let what = Statement::Print(self.tuple(true)?);
                    self.expect(Token::End(Tag::Variable))?;
                    out.push(Node { line, what });
                }
                Token::Begin(_) => {
                    self.at += 1;
                    let Token::Name(name) = self.now().clone() else {
                        return self.fail("tag name expected");
                    };
                    if ends.contains(&&*name) {
                        self.at += 1;
                        return Ok((out, name.to_string()));
                    }
                    let statements = self.deeper(|p| p.statement(&name))?;
                    out.extend(statements.into_iter().map(|what| Node { line, what }));
                    self.expect(Token::End(Tag::Block))?;
                }
                Token::Eof if ends.is_empty() => return Ok((out, String::new())),
                Token::Eof => return self.fail(&format!("end of template; {} is missing", ends.join(" or "))),
                _ => return self.unexpected(),
            }
        }
    }
    /// A block's body behind its opening tag.
    fn body(&mut self, ends: &[&str]) -> Res<(Vec<Node>, String)> {
        self.skip_op(":");
        self.expect(Token::End(Tag::Block))?;
        self.nodes(ends)
    }
    /// As body, where break and continue cannot leave.
    fn closed_body(&mut self, end: &str) -> Res<Vec<Node>> {
        let in_loop = std::mem::replace(&mut self.in_loop, false);
        let made = self.body(&[end]);
        self.in_loop = in_loop;
        Ok(made?.0)
    }
    fn statement(&mut self, name: &str) -> Res<Vec<Statement>> {
        self.at += 1;
        Ok(vec![match name {
            "if" => self.if_block()?,
            "for" => self.for_block()?,
            "set" => self.set_block()?,
            "macro" => {
                let name = self.expect_name()?;
                let (parameters, defaults) = self.signature()?;
                let body = self.closed_body("endmacro")?;
                Statement::Macro(Arc::new(macro_of(Some(name), parameters, defaults, body)))
            }
            "call" => {
                let (parameters, defaults) = if self.is_op("(") { self.signature()? } else { Default::default() };
                let call = self.expression()?;
                if !matches!(call.kind, Kind::Call(..)) {
                    return self.fail("expected call");
                }
                let body = self.closed_body("endcall")?;
                Statement::Call(call, Arc::new(macro_of(None, parameters, defaults, body)))
            }
            "generation" => {
                self.has_generation = true;
                let body = self.closed_body("endgeneration")?;
                Statement::Generation(Arc::new(macro_of(None, Vec::new(), Vec::new(), body)))
            }
            "filter" => {
                let filter = self.filters(None, true)?;
                let body = self.closed_body("endfilter")?;
                Statement::Filter { filter, body, scope: Scope::new() }
            }
            "with" => {
                let (mut targets, mut values) = (Vec::new(), Vec::new());
                while *self.now() != Token::End(Tag::Block) {
                    if !targets.is_empty() {
                        self.expect_op(",")?;
                    }
                    targets.push(self.target(&[], false)?);
                    self.expect_op("=")?;
                    values.push(self.expression()?);
                }
                let (body, _) = self.body(&["endwith"])?;
                Statement::With { targets, values, body, scope: Scope::new() }
            }
            "print" => {
                let mut out = Vec::new();
                while *self.now() != Token::End(Tag::Block) {
                    if !out.is_empty() {
                        self.expect_op(",")?;
                    }
                    out.push(Statement::Print(self.expression()?));
                }
                return Ok(out);
            }
            "break" | "continue" if !self.in_loop => return self.fail(&format!("'{name}' outside of its loop")),
            "break" => Statement::Break,
            "continue" => Statement::Continue,
            "block" | "extends" | "include" | "import" | "from" | "autoescape" => {
                return self.fail(&format!("the tag '{name}' is not supported in chat templates"));
            }
            other => return self.fail(&format!("unknown tag '{other}'")),
        }])
    }
    fn if_block(&mut self) -> Res<Statement> {
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let test = self.tuple(false)?;
            let (body, end) = self.body(&["elif", "else", "endif"])?;
            branches.push((test, body));
            match end.as_str() {
                "elif" => continue,
                "else" => otherwise = self.body(&["endif"])?.0,
                _ => (),
            }
            return Ok(Statement::If(branches, otherwise));
        }
    }
    fn for_block(&mut self) -> Res<Statement> {
        let target = self.target(&["in"], false)?;
        if !self.skip_name("in") {
            return self.unexpected();
        }
        let iter = self.tuple_until(false, &["recursive"], false)?;
        let test = if self.skip_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_name("recursive");
        let in_loop = std::mem::replace(&mut self.in_loop, true);
        let made = self.body(&["endfor", "else"]);
        self.in_loop = in_loop;
        let (body, end) = made?;
        let otherwise = if end == "else" { self.body(&["endfor"])?.0 } else { Vec::new() };
        Ok(Statement::For(Arc::new(For {
            target,
            iter,
            test,
            recursive,
            body,
            otherwise,
            has_loop: false,
            scope: Scope::new(),
            test_scope: Scope::new(),
            otherwise_scope: Scope::new(),
        })))
    }
    fn set_block(&mut self) -> Res<Statement> {
        let target = self.target(&[], true)?;
        if self.skip_op("=") {
            return Ok(Statement::Set(target, self.tuple(true)?));
        }
        let filter = if self.is_op("|") { Some(self.filters(None, false)?) } else { None };
        let body = self.closed_body("endset")?;
        Ok(Statement::SetBlock { target, filter, body, scope: Scope::new() })
    }
    fn signature(&mut self) -> Res<(Vec<Str>, Vec<Expr>)> {
        let (mut parameters, mut defaults) = (Vec::new(), Vec::new());
        self.expect_op("(")?;
        while !self.is_op(")") {
            if !parameters.is_empty() {
                self.expect_op(",")?;
            }
            let name = self.assignable()?;
            if parameters.contains(&name) {
                return self.fail(&format!("duplicate argument '{name}'"));
            }
            parameters.push(name);
            if self.skip_op("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return self.fail("non-default argument follows default argument");
            }
        }
        self.expect_op(")")?;
        Ok((parameters, defaults))
    }
    fn assignable(&mut self) -> Res<Str> {
        let name = self.expect_name()?;
        if ["true", "false", "none", "True", "False", "None"].contains(&&*name) {
            return self.fail(&format!("can't assign to '{name}'"));
        }
        Ok(name)
    }
    /// Names, with commas or in parentheses; members of namespaces where allowed.
    fn target(&mut self, ends: &[&str], with_members: bool) -> Res<Target> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            let ends_here = matches!(self.now(), Token::End(_))
                || self.is_op(")")
                || ends.iter().any(|end| self.is_name(end));
            if ends_here {
                break;
            }
            if self.skip_op("(") {
                items.push(self.deeper(|p| p.target(&[], with_members))?);
                self.expect_op(")")?;
            } else {
                let name = self.assignable()?;
                let is_member = with_members && self.skip_op(".");
                items.push(if is_member { Target::Member(name, self.expect_name()?) } else { Target::Name(name) });
            }
            if !self.skip_op(",") {
                break;
            }
            is_tuple = true;
        }
        match items.len() {
            0 => self.unexpected(),
            1 if !is_tuple => Ok(items.remove(0)),
            _ => Ok(Target::Tuple(items)),
        }
    }
}
fn macro_of(name: Option<Str>, parameters: Vec<Str>, defaults: Vec<Expr>, body: Vec<Node>) -> Macro {
    Macro {
        name,
        parameters,
        defaults,
        body,
        takes_caller: false,
        takes_kwargs: false,
        takes_varargs: false,
        scope: Scope::new(),
    }
}
