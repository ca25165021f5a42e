// gpu/hf/rust/src/jinja/expression.rs - expressions, with Jinja2's own precedence.
use super::ast::*;
use super::lexer::{Tag, Token};
use super::parser::Parser;
use super::{fail, Res};

impl Parser {
    fn made(&self, kind: Kind) -> Res<Expr> {
        let made = Expr::new(kind);
        if made.depth > TREE_DEPTH_MAX {
            // Dropped in pieces that are not deeper than the limit.
            return self.fail("an expression is nested too deep");
        }
        Ok(made)
    }
    pub fn expression(&mut self) -> Res<Expr> {
        self.deeper(Self::conditional)
    }
    fn conditional(&mut self) -> Res<Expr> {
        let line = self.line();
        let mut made = self.or()?;
        while self.skip_name("if") {
            let test = Box::new(self.or()?);
            let no = if self.skip_name("else") { Some(Box::new(self.expression()?)) } else { None };
            made = self.made(Kind::Cond { test, yes: Box::new(made), no, line })?;
        }
        Ok(made)
    }
    fn or(&mut self) -> Res<Expr> {
        let mut left = self.and()?;
        while self.skip_name("or") {
            let right = self.and()?;
            left = self.made(Kind::Or(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }
    fn and(&mut self) -> Res<Expr> {
        let mut left = self.not()?;
        while self.skip_name("and") {
            let right = self.not()?;
            left = self.made(Kind::And(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }
    fn not(&mut self) -> Res<Expr> {
        if self.skip_name("not") {
            let inner = self.deeper(Self::not)?;
            return self.made(Kind::Not(Box::new(inner)));
        }
        self.compare()
    }
    fn compare(&mut self) -> Res<Expr> {
        let first = self.sum()?;
        let mut others = Vec::new();
        loop {
            let cmp = match self.now() {
                Token::Op("==") => Cmp::Eq,
                Token::Op("!=") => Cmp::Ne,
                Token::Op("<") => Cmp::Lt,
                Token::Op("<=") => Cmp::Le,
                Token::Op(">") => Cmp::Gt,
                Token::Op(">=") => Cmp::Ge,
                _ if self.is_name("in") => Cmp::In,
                _ if self.is_name("not") && matches!(self.after(), Token::Name(n) if **n == *"in") => {
                    self.at += 1;
                    Cmp::NotIn
                }
                _ => break,
            };
            self.at += 1;
            others.push((cmp, self.sum()?));
        }
        if others.is_empty() {
            return Ok(first);
        }
        self.made(Kind::Compare(Box::new(first), others))
    }
    fn sum(&mut self) -> Res<Expr> {
        let mut left = self.concat()?;
        loop {
            let op = match self.now() {
                Token::Op("+") => Op::Add,
                Token::Op("-") => Op::Sub,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.concat()?;
            left = self.made(Kind::Binary(op, Box::new(left), Box::new(right)))?;
        }
    }
    fn concat(&mut self) -> Res<Expr> {
        let mut parts = vec![self.product()?];
        while self.skip_op("~") {
            parts.push(self.product()?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        self.made(Kind::Concat(parts))
    }
    fn product(&mut self) -> Res<Expr> {
        let mut left = self.power()?;
        loop {
            let op = match self.now() {
                Token::Op("*") => Op::Mul,
                Token::Op("/") => Op::Div,
                Token::Op("//") => Op::FloorDiv,
                Token::Op("%") => Op::Mod,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.power()?;
            left = self.made(Kind::Binary(op, Box::new(left), Box::new(right)))?;
        }
    }
    fn power(&mut self) -> Res<Expr> {
        let mut left = self.unary(true)?;
        while self.skip_op("**") {
            let right = self.unary(true)?;
            left = self.made(Kind::Binary(Op::Pow, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }
    fn unary(&mut self, with_filters: bool) -> Res<Expr> {
        let mut made = if self.skip_op("-") {
            let inner = self.deeper(|p| p.unary(false))?;
            self.made(Kind::Neg(Box::new(inner)))?
        } else if self.skip_op("+") {
            let inner = self.deeper(|p| p.unary(false))?;
            self.made(Kind::Pos(Box::new(inner)))?
        } else {
            self.primary()?
        };
        made = self.postfix(made)?;
        if with_filters {
            made = self.filters_and_tests(made)?;
        }
        Ok(made)
    }
    fn primary(&mut self) -> Res<Expr> {
        let token = self.now().clone();
        let kind = match token {
            Token::Name(name) => {
                self.at += 1;
                match &*name {
                    "true" | "True" => Kind::Const(Const::Bool(true)),
                    "false" | "False" => Kind::Const(Const::Bool(false)),
                    "none" | "None" => Kind::Const(Const::None),
                    _ => Kind::Name(name),
                }
            }
            Token::Text(first) => {
                self.at += 1;
                let mut text = first.to_string();
                while let Token::Text(more) = self.now() {
                    text.push_str(more);
                    self.at += 1;
                }
                Kind::Const(Const::Str(text.into()))
            }
            Token::Int(i) => {
                self.at += 1;
                Kind::Const(Const::Int(i))
            }
            Token::Float(f) => {
                self.at += 1;
                Kind::Const(Const::Float(f))
            }
            Token::Op("(") => {
                self.at += 1;
                let made = self.deeper(|p| p.tuple_until(true, &[], true))?;
                self.expect_op(")")?;
                return Ok(made);
            }
            Token::Op("[") => {
                self.at += 1;
                Kind::List(self.listed("]", Self::expression)?)
            }
            Token::Op("{") => {
                self.at += 1;
                Kind::Dict(self.listed("}", |p| {
                    let key = p.expression()?;
                    p.expect_op(":")?;
                    Ok((key, p.expression()?))
                })?)
            }
            _ => return self.unexpected(),
        };
        self.made(kind)
    }
    fn listed<T>(&mut self, end: &str, one: impl Fn(&mut Self) -> Res<T>) -> Res<Vec<T>> {
        let mut items = Vec::new();
        while !self.is_op(end) {
            if !items.is_empty() {
                self.expect_op(",")?;
            }
            if self.is_op(end) {
                break;
            }
            items.push(one(self)?);
        }
        self.expect_op(end)?;
        Ok(items)
    }
    pub fn tuple(&mut self, with_conditional: bool) -> Res<Expr> {
        self.tuple_until(with_conditional, &[], false)
    }
    /// One expression, or a tuple of several with commas.
    pub fn tuple_until(&mut self, with_conditional: bool, ends: &[&str], in_parentheses: bool) -> Res<Expr> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            let ends_here = matches!(self.now(), Token::End(Tag::Block | Tag::Variable))
                || self.is_op(")")
                || ends.iter().any(|end| self.is_name(end));
            if ends_here {
                break;
            }
            items.push(if with_conditional { self.expression()? } else { self.deeper(Self::or)? });
            if !self.skip_op(",") {
                break;
            }
            is_tuple = true;
        }
        if items.len() == 1 && !is_tuple {
            return Ok(items.remove(0));
        }
        if !is_tuple && !in_parentheses {
            return self.unexpected();
        }
        self.made(Kind::Tuple(items))
    }
    fn postfix(&mut self, mut made: Expr) -> Res<Expr> {
        loop {
            if self.skip_op(".") {
                made = match self.now().clone() {
                    Token::Name(name) => {
                        self.at += 1;
                        self.made(Kind::Attr(Box::new(made), name))?
                    }
                    Token::Int(i) => {
                        self.at += 1;
                        let index = self.made(Kind::Const(Const::Int(i)))?;
                        self.made(Kind::Item(Box::new(made), Box::new(index)))?
                    }
                    _ => return self.fail("expected name or number"),
                };
            } else if self.skip_op("[") {
                made = self.subscript(made)?;
            } else if self.is_op("(") {
                let arguments = self.arguments()?;
                made = self.made(Kind::Call(Box::new(made), arguments))?;
            } else {
                return Ok(made);
            }
        }
    }
    fn subscript(&mut self, of: Expr) -> Res<Expr> {
        if self.is_op("]") {
            return self.made(Kind::Item(Box::new(of), Box::new(Expr::new(Kind::Tuple(Vec::new())))));
        }
        let mut parts = [None, None, None];
        let mut place = 0;
        let mut is_slice = false;
        while !self.is_op("]") && !self.is_op(",") {
            if self.skip_op(":") {
                is_slice = true;
                place += 1;
            } else if place < 3 && parts[place].is_none() {
                parts[place] = Some(self.expression()?);
            } else {
                return self.unexpected();
            }
        }
        if place > 2 {
            return self.unexpected();
        }
        if is_slice {
            self.expect_op("]")?; // a tuple of slices is an index of nothing that a template sees
            return self.made(Kind::Slice(Box::new(of), Box::new(parts)));
        }
        let Some(first) = parts[0].take() else { return self.unexpected() };
        let mut items = vec![first];
        while self.skip_op(",") {
            items.push(self.expression()?);
        }
        self.expect_op("]")?;
        let index = if items.len() == 1 { items.remove(0) } else { self.made(Kind::Tuple(items))? };
        self.made(Kind::Item(Box::new(of), Box::new(index)))
    }
    fn arguments(&mut self) -> Res<Arguments> {
        let mut out = Arguments::default();
        self.expect_op("(")?;
        let mut is_first = true;
        while !self.is_op(")") {
            if !is_first {
                self.expect_op(",")?;
                if self.is_op(")") {
                    break;
                }
            }
            is_first = false;
            let is_named = matches!(self.now(), Token::Name(_)) && *self.after() == Token::Op("=");
            let valid = if self.is_op("*") || (!is_named && !self.is_op("**")) {
                out.list.is_none() && out.dict.is_none() && (self.is_op("*") || out.named.is_empty())
            } else {
                out.dict.is_none()
            };
            if !valid {
                return self.fail("invalid syntax for function call expression");
            }
            if self.skip_op("*") {
                out.list = Some(Box::new(self.expression()?));
            } else if self.skip_op("**") {
                out.dict = Some(Box::new(self.expression()?));
            } else if is_named {
                let name = self.expect_name()?;
                self.at += 1;
                if out.named.iter().any(|(n, _)| *n == name) {
                    return self.fail(&format!("keyword argument repeated: {name}"));
                }
                out.named.push((name, self.expression()?));
            } else {
                out.plain.push(self.expression()?);
            }
        }
        self.expect_op(")")?;
        Ok(out)
    }
    fn filters_and_tests(&mut self, mut made: Expr) -> Res<Expr> {
        loop {
            if self.is_op("|") {
                made = self.filters(Some(made), false)?;
            } else if self.skip_name("is") {
                made = self.test(made)?;
            } else if self.is_op("(") {
                let arguments = self.arguments()?;
                made = self.made(Kind::Call(Box::new(made), arguments))?;
            } else {
                return Ok(made);
            }
        }
    }
    fn dotted_name(&mut self) -> Res<Str> {
        let mut name = self.expect_name()?.to_string();
        while self.skip_op(".") {
            name = format!("{name}.{}", self.expect_name()?);
        }
        Ok(name.into())
    }
    /// `|name(..)`, any number of times; of a block the first has no bar.
    pub fn filters(&mut self, mut value: Option<Expr>, mut of_block: bool) -> Res<Expr> {
        while self.is_op("|") || of_block {
            self.at += usize::from(!of_block);
            of_block = false;
            let name = self.dotted_name()?;
            let arguments = if self.is_op("(") { self.arguments()? } else { Arguments::default() };
            value = Some(self.made(Kind::Filter(value.map(Box::new), name, arguments))?);
        }
        match value {
            Some(made) => Ok(made),
            None => fail("a filter is missing"),
        }
    }
    fn test(&mut self, value: Expr) -> Res<Expr> {
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        let ends = ["else", "or", "and"];
        let arguments = match self.now() {
            Token::Op("(") => self.arguments()?,
            Token::Name(n) if ends.contains(&&**n) => Arguments::default(),
            Token::Name(n) if **n == *"is" => return self.fail("You cannot chain multiple tests with is"),
            Token::Name(_) | Token::Text(_) | Token::Int(_) | Token::Float(_) | Token::Op("[" | "{") => {
                let one = self.primary()?;
                let one = self.postfix(one)?;
                Arguments { plain: vec![one], ..Arguments::default() }
            }
            _ => Arguments::default(),
        };
        let made = self.made(Kind::Test(Box::new(value), name, arguments))?;
        if negated { self.made(Kind::Not(Box::new(made))) } else { Ok(made) }
    }
}
