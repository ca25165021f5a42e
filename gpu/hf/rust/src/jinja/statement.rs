// gpu/hf/rust/src/jinja/statement.rs - statements: what they print, and the scopes they open.
use super::ast::{Expr, For, Load, Macro, Node, Scope, Statement, Str, Target};
use super::eval::Render;
use super::object::{Frame, Loop, Object};
use super::value::Value;
use super::{fail, Res, TEXT_BYTES_MAX};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

#[derive(PartialEq)]
pub enum Flow {
    Next,
    Break,
    Continue,
}
impl Render<'_> {
    pub fn template(&mut self, nodes: &[Node], scope: &Scope) -> Res<()> {
        let frame = self.enter(scope, None);
        self.block(nodes, &frame).map(|_| ())
    }
    /// A new scope; parameters have no value yet.
    pub fn enter(&self, scope: &Scope, outer: Option<&Rc<Frame>>) -> Rc<Frame> {
        let value = |(name, load): &(Str, Load)| {
            let value = match load {
                Load::Context => self.context(name),
                Load::Outer => outer.and_then(|f| f.find(name)).flatten(),
                Load::Parameter | Load::Undefined => None,
            };
            (name.clone(), value)
        };
        Rc::new(Frame { variables: RefCell::new(scope.iter().map(value).collect()), outer: outer.cloned() })
    }
    pub fn block(&mut self, nodes: &[Node], frame: &Rc<Frame>) -> Res<Flow> {
        self.deeper(|r| {
            for node in nodes {
                r.spend(1)?;
                r.line = node.line;
                let flow = r.statement(&node.what, frame)?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
            }
            Ok(Flow::Next)
        })
    }
    fn print(&mut self, value: &Value) -> Res<()> {
        let before = self.out.len();
        let mut out = std::mem::take(&mut self.out);
        let written = value.write(&mut out);
        self.out = out;
        written?;
        self.spend((self.out.len() - before) / 8)?;
        if self.out.len() > TEXT_BYTES_MAX {
            return fail(format!("the rendered chat has more than {TEXT_BYTES_MAX} bytes"));
        }
        Ok(())
    }
    /// Runs f and returns what it printed.
    pub fn capture(&mut self, f: impl FnOnce(&mut Self) -> Res<()>) -> Res<String> {
        if self.captures == 0 {
            self.main_size = self.out.len();
        }
        self.captures += 1;
        let before = std::mem::take(&mut self.out);
        let done = f(self);
        let made = std::mem::replace(&mut self.out, before);
        self.captures -= 1;
        done.map(|()| made)
    }
    fn statement(&mut self, what: &Statement, frame: &Rc<Frame>) -> Res<Flow> {
        match what {
            Statement::Text(text) => {
                self.out.push_str(text);
                self.spend(text.len() / 8)?;
            }
            Statement::Print(e) => {
                let value = self.eval(e, frame)?;
                self.print(&value)?;
            }
            Statement::Set(target, e) => {
                self.check_namespaces(target, frame)?;
                let value = self.eval(e, frame)?;
                self.assign(target, value, frame)?;
            }
            Statement::SetBlock { target, filter, body, scope } => {
                let inner = self.enter(scope, Some(frame));
                let text = self.filtered(filter.as_ref(), body, &inner)?;
                self.assign(target, text, frame)?;
            }
            Statement::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.eval(test, frame)?.truth() {
                        return self.block(body, frame);
                    }
                }
                return self.block(otherwise, frame);
            }
            Statement::For(f) => {
                let items = self.eval(&f.iter, frame)?.iterate()?;
                self.for_loop(f, items, 0, frame)?;
            }
            Statement::Macro(m) => {
                let name = m.name.clone().unwrap_or_else(|| "".into());
                frame.set(&name, Some(macro_value(m, frame)));
            }
            Statement::Call(e, m) => {
                let caller = macro_value(m, frame);
                let value = self.call_block(e, caller, frame)?;
                self.print(&value)?;
            }
            Statement::Filter { filter, body, scope } => {
                let inner = self.enter(scope, Some(frame));
                let value = self.filtered(Some(filter), body, &inner)?;
                if value.as_str().is_none() {
                    return fail(format!("a filter block must make a text, not {}", value.type_name()));
                }
                self.print(&value)?;
            }
            Statement::With { targets, values, body, scope } => {
                let inner = self.enter(scope, Some(frame));
                for (target, e) in targets.iter().zip(values) {
                    let value = self.eval(e, frame)?;
                    self.assign(target, value, &inner)?;
                }
                return self.block(body, &inner);
            }
            Statement::Generation(m) => {
                let text = self.macro_text(m, frame, Vec::new())?;
                let begin = if self.captures == 0 { self.out.len() } else { self.main_size };
                self.generated.push((begin, begin + text.len()));
                self.print(&Value::str(text))?;
            }
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }
    fn filtered(&mut self, filter: Option<&Expr>, body: &[Node], inner: &Rc<Frame>) -> Res<Value> {
        let mut made = None;
        let text = self.capture(|r| {
            r.block(body, inner)?;
            if let Some(filter) = filter {
                made = Some(r.eval(filter, inner)?);
            }
            Ok(())
        })?;
        Ok(made.unwrap_or_else(|| Value::str(text)))
    }
    fn check_namespaces(&mut self, target: &Target, frame: &Rc<Frame>) -> Res<()> {
        let mut wrong = None;
        target.each(&mut |t| {
            if let Target::Member(name, _) = t {
                let found = frame.find(name).unwrap_or_else(|| self.context(name));
                let is = matches!(&found, Some(Value::Object(o)) if matches!(**o, Object::Namespace(_)));
                wrong = if is { wrong.take() } else { Some(name.clone()) };
            }
        });
        match wrong {
            Some(_) => fail("cannot assign attribute on non-namespace object"),
            None => Ok(()),
        }
    }
    fn assign(&mut self, target: &Target, value: Value, frame: &Rc<Frame>) -> Res<()> {
        match target {
            Target::Name(name) => frame.set(name, Some(value)),
            Target::Member(name, member) => {
                if member.starts_with('_') {
                    return fail(format!("a namespace cannot have the attribute '{member}'"));
                }
                Render::may_be_kept(&value)?;
                let found = frame.find(name).unwrap_or_else(|| self.context(name));
                match found {
                    Some(Value::Object(o)) => match &*o {
                        Object::Namespace(members) => {
                            members.borrow_mut().insert(Value::Str(member.clone()), value)?;
                        }
                        _ => return fail("cannot assign attribute on non-namespace object"),
                    },
                    _ => return fail("cannot assign attribute on non-namespace object"),
                }
            }
            Target::Tuple(targets) => {
                let items = value.defined()?.iterate()?;
                if items.len() != targets.len() {
                    return fail(format!("{} values to unpack, {} expected", items.len(), targets.len()));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item, frame)?;
                }
            }
        }
        Ok(())
    }
    pub fn for_loop(&mut self, f: &Arc<For>, items: Vec<Value>, depth0: usize, frame: &Rc<Frame>) -> Res<()> {
        self.spend(items.len())?;
        // As in Jinja2, where the last line of the body notes it: break and continue pass it by.
        let mut ran = false;
        if f.has_loop {
            let chosen = self.chosen(f, items, frame)?;
            let recursion = f.recursive.then(|| (f.clone(), Rc::downgrade(frame)));
            let (index0, changed) = (Cell::new(0), RefCell::new(None));
            let shared = Rc::new(Object::Loop(Loop { items: chosen.clone(), index0, depth0, changed, recursion }));
            for (i, item) in chosen.into_iter().enumerate() {
                if let Object::Loop(l) = &*shared {
                    l.index0.set(i);
                }
                match self.turn(f, item, Some(&shared), frame)? {
                    Flow::Break => break,
                    flow => ran |= flow == Flow::Next,
                }
            }
        } else {
            for item in items {
                if !self.is_chosen(f, &item, frame)? {
                    continue;
                }
                match self.turn(f, item, None, frame)? {
                    Flow::Break => break,
                    flow => ran |= flow == Flow::Next,
                }
            }
        }
        if !ran {
            let inner = self.enter(&f.otherwise_scope, Some(frame));
            self.block(&f.otherwise, &inner)?;
        }
        Ok(())
    }
    fn turn(&mut self, f: &For, item: Value, shared: Option<&Rc<Object>>, frame: &Rc<Frame>) -> Res<Flow> {
        let inner = self.enter(&f.scope, Some(frame));
        if let Some(object) = shared {
            inner.set(&"loop".into(), Some(Value::Object(object.clone())));
        }
        self.assign(&f.target, item, &inner)?;
        self.block(&f.body, &inner)
    }
    fn is_chosen(&mut self, f: &For, item: &Value, frame: &Rc<Frame>) -> Res<bool> {
        let Some(test) = &f.test else { return Ok(true) };
        let inner = self.enter(&f.test_scope, Some(frame));
        self.assign(&f.target, item.clone(), &inner)?;
        Ok(self.eval(test, &inner)?.truth())
    }
    /// The items that the test lets through, all before the first turn: the loop knows its length.
    fn chosen(&mut self, f: &For, items: Vec<Value>, frame: &Rc<Frame>) -> Res<Vec<Value>> {
        let Some(test) = &f.test else { return Ok(items) };
        let mut changes = false;
        test.names(&mut |name| {
            let found = frame.find(name).unwrap_or_else(|| self.context(name));
            changes |= found.is_some_and(|v| matches!(v, Value::Object(_)) && v.nest().holds);
        });
        if changes {
            return fail("a loop whose filter reads a namespace cannot use the variable loop here");
        }
        let mut out = Vec::new();
        for item in items {
            if self.is_chosen(f, &item, frame)? {
                out.push(item);
            }
        }
        Ok(out)
    }
    /// The body of a macro or block, with values for its parameters (None: its default).
    pub fn macro_text(&mut self, m: &Macro, outer: &Rc<Frame>, values: Vec<(Str, Option<Value>)>) -> Res<String> {
        let inner = self.enter(&m.scope, Some(outer));
        for (name, value) in values {
            inner.set(&name, value);
        }
        if m.takes_caller && inner.find("caller").flatten().is_none() && m.parameters.iter().all(|p| **p != *"caller") {
            inner.set(&"caller".into(), Some(Value::undefined("No caller defined")));
        }
        for (name, takes) in [("kwargs", m.takes_kwargs), ("varargs", m.takes_varargs)] {
            if takes && inner.find(name).flatten().is_none() {
                let empty = if name == "kwargs" { Value::dict(Default::default()) } else { Value::tuple(Vec::new())? };
                inner.set(&name.into(), Some(empty));
            }
        }
        let plain = m.parameters.len() - m.defaults.len();
        self.capture(|r| {
            for (i, name) in m.parameters.iter().enumerate() {
                if inner.variables.borrow().iter().any(|(n, v)| n == name && v.is_some()) {
                    continue;
                }
                let value = match i.checked_sub(plain) {
                    Some(d) => r.eval(&m.defaults[d], &inner)?,
                    None => Value::undefined(format!("parameter '{name}' was not provided")),
                };
                inner.set(name, Some(value));
            }
            r.block(&m.body, &inner).map(|_| ())
        })
    }
}
fn macro_value(m: &Arc<Macro>, frame: &Rc<Frame>) -> Value {
    let frame: Weak<Frame> = Rc::downgrade(frame);
    Value::object(Object::Macro(m.clone(), frame))
}
