// gpu/hf/rust/src/jinja/call.rs - calls: macros, loops, global functions, objects.
use super::arguments::{int, required, text, Args};
use super::ast::{Expr, Kind, Str};
use super::eval::Render;
use super::object::{Frame, Function, Loop, Object};
use super::value::{Dict, Value};
use super::{fail, methods, ops, Res};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const RANGE_MAX: i128 = 100_000; // the sandbox's own

impl Render<'_> {
    pub fn call(&mut self, callee: &Value, args: Args) -> Res<Value> {
        let Value::Object(object) = callee.defined()? else {
            return fail(format!("'{}' object is not callable", callee.type_name()));
        };
        match &**object {
            Object::Method(of, "cycle" | "changed") => self.loop_method(of, object, args),
            Object::Method(of, name) => methods::call(self, of, name, args),
            Object::Function(function) => self.function(*function, args),
            Object::Macro(m, frame) => {
                let Some(outer) = frame.upgrade() else {
                    return fail("a macro is called outside of the scope that it was made in");
                };
                let values = bind(m, args)?;
                Ok(Value::str(self.macro_text(m, &outer, values)?))
            }
            Object::Joiner(separator, used) => {
                args.bind("joiner", [])?;
                let is_first = !used.replace(true);
                Ok(if is_first { Value::str("") } else { separator.clone() })
            }
            Object::Loop(l) => self.recurse(l, args),
            other => fail(format!("'{}' object is not callable", other.type_name())),
        }
    }
    /// A call with a block: the block is its argument `caller`.
    pub fn call_block(&mut self, call: &Expr, caller: Value, frame: &Rc<Frame>) -> Res<Value> {
        let Kind::Call(callee, arguments) = &call.kind else { return fail("expected call") };
        let callee = self.eval(callee, frame)?;
        let mut args = self.arguments(arguments, frame)?;
        if args.named.iter().any(|(name, _)| **name == *"caller") {
            return fail("got multiple values for keyword argument 'caller'");
        }
        args.named.push(("caller".into(), caller));
        self.call(&callee, args)
    }
    fn recurse(&mut self, l: &Loop, args: Args) -> Res<Value> {
        let [items] = args.bind("loop", ["iterable"])?;
        let items = required(items, "loop", "iterable")?.iterate()?;
        let Some((f, frame)) = &l.recursion else {
            return fail("The loop must have the 'recursive' marker to be called recursively.");
        };
        let Some(outer) = frame.upgrade() else { return fail("a loop is called outside of its scope") };
        let depth0 = l.depth0 + 1;
        Ok(Value::str(self.capture(|r| r.for_loop(f, items, depth0, &outer))?))
    }
    fn loop_method(&mut self, of: &Value, method: &Object, args: Args) -> Res<Value> {
        let (Value::Object(object), Object::Method(_, name)) = (of, method) else { return fail("not a loop") };
        let Object::Loop(l) = &**object else { return fail("not a loop") };
        let values = args.positional(name)?;
        if *name == "cycle" {
            if values.is_empty() {
                return fail("no items for cycling given");
            }
            return Ok(values[l.index0.get() % values.len()].clone());
        }
        let now = Value::tuple(values)?;
        let same = l.changed.borrow().as_ref().is_some_and(|before| ops::equal(before, &now));
        *l.changed.borrow_mut() = Some(now);
        Ok(Value::Bool(!same))
    }
    fn function(&mut self, function: Function, args: Args) -> Res<Value> {
        match function {
            Function::Range => {
                let numbers = args.positional("range")?;
                let of = |i: usize| int(&numbers[i], "range");
                let (start, stop, step) = match numbers.len() {
                    1 => (0, of(0)?, 1),
                    2 => (of(0)?, of(1)?, 1),
                    3 => (of(0)?, of(1)?, of(2)?),
                    n => return fail(format!("range expected 1 to 3 arguments, got {n}")),
                };
                if step == 0 {
                    return fail("range() arg 3 must not be zero");
                }
                if [start, stop, step].iter().any(|i| i.abs() > 1 << 62) {
                    return fail("range() of numbers beyond 2**62 is not supported");
                }
                let made = Value::Range(start, stop, step);
                if made.range_len() > RANGE_MAX {
                    return fail(format!("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({RANGE_MAX})."));
                }
                Ok(made)
            }
            Function::Dict => Ok(Value::dict(dict_of(args)?)),
            Function::Namespace => {
                let members = dict_of(args)?;
                for (name, value) in members.iter() {
                    Render::may_be_kept(value)?;
                    if name.as_str().is_some_and(|n| n.starts_with('_')) {
                        return fail("a namespace cannot have attributes that begin with an underscore");
                    }
                }
                Ok(Value::object(Object::Namespace(RefCell::new(members))))
            }
            Function::Cycler => {
                let items = args.positional("cycler")?;
                if items.is_empty() {
                    return fail("at least one item has to be provided");
                }
                Ok(Value::object(Object::Cycler(items, Cell::new(0))))
            }
            Function::Joiner => {
                let [separator] = args.bind("joiner", ["sep"])?;
                let separator = separator.unwrap_or_else(|| Value::str(", "));
                Ok(Value::object(Object::Joiner(separator, Cell::new(false))))
            }
            Function::RaiseException => {
                let [message] = args.bind("raise_exception", ["message"])?;
                let message = required(message, "raise_exception", "message")?;
                fail(message.to_str()?.to_string())
            }
            Function::StrftimeNow => {
                let [format] = args.bind("strftime_now", ["format"])?;
                let format = text(&required(format, "strftime_now", "format")?, "strftime_now")?;
                Ok(Value::str((self.now)(&format)?))
            }
            Function::Unsupported => fail("this function is random and not supported in chat templates"),
        }
    }
}
/// dict(mapping or pairs, **members).
fn dict_of(args: Args) -> Res<Dict> {
    let mut out = Dict::default();
    if args.plain.len() > 1 {
        return fail(format!("dict expected at most 1 argument, got {}", args.plain.len()));
    }
    match args.plain.first() {
        Some(Value::Dict(dict)) => {
            for (key, value) in dict.iter() {
                out.insert(key.clone(), value.clone())?;
            }
        }
        Some(pairs) => {
            for pair in pairs.defined()?.iterate()? {
                let [key, value]: [Value; 2] = match pair.iterate()?.try_into() {
                    Ok(two) => two,
                    Err(_) => return fail("dictionary update sequence elements must have length 2"),
                };
                out.insert(key, value)?;
            }
        }
        None => (),
    }
    for (name, value) in args.named {
        out.insert(Value::Str(name), value)?;
    }
    Ok(out)
}
/// A macro's parameters, as Jinja2 fills them.
fn bind(m: &super::ast::Macro, args: Args) -> Res<Vec<(Str, Option<Value>)>> {
    let name = m.name.as_deref().unwrap_or("caller");
    let mut named = args.named;
    let mut take = |wanted: &str| {
        let at = named.iter().position(|(n, _)| **n == *wanted)?;
        Some(named.remove(at).1)
    };
    let mut out = Vec::new();
    let mut plain = args.plain.into_iter();
    for parameter in &m.parameters {
        let value = plain.next().or_else(|| take(parameter));
        out.push((parameter.clone(), value));
    }
    if m.takes_caller && m.parameters.iter().all(|p| **p != *"caller") {
        let caller = take("caller").filter(|v| !matches!(v, Value::None));
        out.push(("caller".into(), Some(caller.unwrap_or_else(|| Value::undefined("No caller defined")))));
    }
    let rest: Vec<Value> = plain.collect();
    if m.takes_kwargs {
        let mut dict = Dict::default();
        for (name, value) in named {
            dict.insert(Value::Str(name), value)?;
        }
        out.push(("kwargs".into(), Some(Value::dict(dict))));
    } else if let Some((wrong, _)) = named.first() {
        return fail(format!("macro '{name}' takes no keyword argument '{wrong}'"));
    }
    if m.takes_varargs {
        out.push(("varargs".into(), Some(Value::tuple(rest)?)));
    } else if !rest.is_empty() {
        return fail(format!("macro '{name}' takes not more than {} argument(s)", m.parameters.len()));
    }
    Ok(out)
}
