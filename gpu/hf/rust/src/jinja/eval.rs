// gpu/hf/rust/src/jinja/eval.rs - expressions to values, within one rendering's limits.
use super::arguments::Args;
use super::ast::{Arguments, Const, Expr, Kind, Op, Str};
use super::object::{Frame, Object};
use super::value::{Dict, Value};
use super::{fail, filters, methods, ops, tests, Res, DEPTH_MAX, FUEL_MAX, TEXT_BYTES_MAX};
use std::rc::Rc;

pub struct Render<'a> {
    variables: &'a Dict,
    pub now: &'a dyn Fn(&str) -> Res<String>,
    pub out: String,
    pub generated: Vec<(usize, usize)>,
    pub captures: u32,    // blocks whose text is caught around the current one
    pub main_size: usize, // bytes of the main text when the outermost of these began
    pub line: u32,
    fuel: u64,
    depth: u32,
}
impl<'a> Render<'a> {
    pub fn new(variables: &'a Dict, now: &'a dyn Fn(&str) -> Res<String>) -> Self {
        let (out, generated) = (String::new(), Vec::new());
        Render { variables, now, out, generated, captures: 0, main_size: 0, line: 1, fuel: FUEL_MAX, depth: 0 }
    }
    pub fn spend(&mut self, steps: usize) -> Res<()> {
        match self.fuel.checked_sub(steps as u64) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => fail("the template ran out of fuel: it does more work than a chat needs"),
        }
    }
    pub fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        if self.depth >= DEPTH_MAX {
            return fail("maximum recursion depth exceeded");
        }
        self.depth += 1;
        let made = f(self);
        self.depth -= 1;
        made
    }
    /// What making the value cost, so that memory is bounded by fuel.
    fn charged(&mut self, value: Value) -> Res<Value> {
        let size = match &value {
            Value::Str(s) | Value::Safe(s) => s.len(),
            Value::List(items) | Value::Tuple(items) => 8 * items.items.len(),
            _ => 0,
        };
        if size > TEXT_BYTES_MAX {
            return fail(format!("a value of more than {TEXT_BYTES_MAX} bytes"));
        }
        self.spend(size / 8)?;
        Ok(value)
    }
    /// A variable of the rendering, or a global function.
    pub fn context(&self, name: &str) -> Option<Value> {
        self.variables.member(name).cloned().or_else(|| methods::global(name))
    }
    fn name(&self, name: &Str, frame: &Rc<Frame>) -> Value {
        let found = frame.find(name).unwrap_or_else(|| self.context(name));
        found.unwrap_or_else(|| Value::undefined(format!("'{name}' is undefined")))
    }
    pub fn eval(&mut self, expr: &Expr, frame: &Rc<Frame>) -> Res<Value> {
        self.spend(1)?;
        self.deeper(|r| r.kind(&expr.kind, frame))
    }
    pub fn all(&mut self, items: &[Expr], frame: &Rc<Frame>) -> Res<Vec<Value>> {
        items.iter().map(|e| self.eval(e, frame)).collect()
    }
    fn kind(&mut self, kind: &Kind, frame: &Rc<Frame>) -> Res<Value> {
        Ok(match kind {
            Kind::Const(constant) => match constant {
                Const::None => Value::None,
                Const::Bool(b) => Value::Bool(*b),
                Const::Int(i) => Value::Int(*i),
                Const::Float(f) => Value::Float(*f),
                Const::Str(s) => Value::Str(s.clone()),
            },
            Kind::Name(name) => self.name(name, frame),
            Kind::List(items) => Value::list(self.all(items, frame)?)?,
            Kind::Tuple(items) => Value::tuple(self.all(items, frame)?)?,
            Kind::Dict(items) => {
                let mut dict = Dict::default();
                for (key, value) in items {
                    let key = self.eval(key, frame)?;
                    dict.insert(key, self.eval(value, frame)?)?;
                }
                Value::dict(dict)
            }
            Kind::Attr(of, name) => {
                let of = self.eval(of, frame)?;
                methods::attribute(&of, name)?
            }
            Kind::Item(of, at) => {
                let of = self.eval(of, frame)?;
                let at = self.eval(at, frame)?;
                self.spend(if matches!(of, Value::Str(_)) { of.len().unwrap_or(0) / 16 } else { 0 })?;
                methods::item(&of, &at)?
            }
            Kind::Slice(of, parts) => {
                let of = self.eval(of, frame)?;
                let mut values = [const { None }; 3];
                for (value, part) in values.iter_mut().zip(parts.iter()) {
                    *value = part.as_ref().map(|e| self.eval(e, frame)).transpose()?;
                }
                let made = ops::slice(&of, values)?;
                self.charged(made)?
            }
            Kind::Call(callee, arguments) => {
                let callee = self.eval(callee, frame)?;
                let args = self.arguments(arguments, frame)?;
                let made = self.call(&callee, args)?;
                self.charged(made)?
            }
            Kind::Filter(value, name, arguments) => {
                let value = match value {
                    Some(e) => self.eval(e, frame)?,
                    None => Value::str(std::mem::take(&mut self.out)), // what the block caught
                };
                let args = self.arguments(arguments, frame)?;
                let made = filters::apply(self, name, value, args)?;
                self.charged(made)?
            }
            Kind::Test(value, name, arguments) => {
                let value = self.eval(value, frame)?;
                let args = self.arguments(arguments, frame)?;
                Value::Bool(tests::apply(name, &value, args)?)
            }
            Kind::Neg(e) => ops::negative(&self.eval(e, frame)?)?,
            Kind::Pos(e) => ops::positive(&self.eval(e, frame)?)?,
            Kind::Not(e) => Value::Bool(!self.eval(e, frame)?.truth()),
            Kind::Binary(op, left, right) => {
                let a = self.eval(left, frame)?;
                let b = self.eval(right, frame)?;
                if *op == Op::Pow && ops::order(&a, &Value::Int(0))?.is_some_and(|o| o.is_lt()) && left.is_constant() && !right.is_constant() {
                    // Jinja2 writes -1 ** x into its code, which Python reads as -(1 ** x).
                    return fail("a negative constant before ** is not supported");
                }
                let made = ops::binary(*op, &a, &b)?;
                self.charged(made)?
            }
            Kind::And(a, b) => {
                let a = self.eval(a, frame)?;
                if a.truth() { self.eval(b, frame)? } else { a }
            }
            Kind::Or(a, b) => {
                let a = self.eval(a, frame)?;
                if a.truth() { a } else { self.eval(b, frame)? }
            }
            Kind::Compare(first, others) => {
                let mut left = self.eval(first, frame)?;
                for (cmp, right) in others {
                    let right = self.eval(right, frame)?;
                    self.spend(right.len().unwrap_or(0) / 16)?;
                    if !ops::compare(*cmp, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            Kind::Concat(parts) => {
                let mut out = String::new();
                for part in parts {
                    self.eval(part, frame)?.write(&mut out)?;
                }
                self.charged(Value::str(out))?
            }
            Kind::Cond { test, yes, no, line } => {
                let branch = if self.eval(test, frame)?.truth() { Some(yes) } else { no.as_ref() };
                match branch {
                    Some(e) => self.eval(e, frame)?,
                    None => Value::undefined(format!(
                        "the inline if-expression on line {line} evaluated to false and no else section was defined."
                    )),
                }
            }
        })
    }
    pub fn arguments(&mut self, arguments: &Arguments, frame: &Rc<Frame>) -> Res<Args> {
        let mut out = Args { plain: self.all(&arguments.plain, frame)?, named: Vec::new() };
        for (name, e) in &arguments.named {
            out.named.push((name.clone(), self.eval(e, frame)?));
        }
        if let Some(e) = &arguments.list {
            out.plain.extend(self.eval(e, frame)?.iterate()?);
        }
        if let Some(e) = &arguments.dict {
            let Value::Dict(dict) = self.eval(e, frame)? else {
                return fail("argument after ** must be a mapping");
            };
            for (key, value) in dict.iter() {
                let Some(name) = key.as_str() else { return fail("keywords must be strings") };
                if out.named.iter().any(|(n, _)| n == name) {
                    return fail(format!("got multiple values for keyword argument '{name}'"));
                }
                out.named.push((name.clone(), value.clone()));
            }
        }
        Ok(out)
    }
    /// Whether the value could hold the namespace that it is to be put into.
    pub fn may_be_kept(value: &Value) -> Res<()> {
        match value.nest().holds || matches!(value, Value::Object(o) if matches!(**o, Object::Namespace(_))) {
            true => fail("keeping namespaces, loops, cyclers or joiners in a namespace is not supported"),
            false => Ok(()),
        }
    }
}
