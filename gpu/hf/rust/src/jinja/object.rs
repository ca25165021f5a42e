// gpu/hf/rust/src/jinja/object.rs - values with a state or a call of their own, and the frames that
// hold a rendering's variables.
use super::ast::{For, Macro, Str};
use super::value::{Dict, Nest, Value};
use super::{fail, Res};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Variables of one scope; None: declared, without a value yet.
#[derive(Default)]
pub struct Frame {
    pub variables: RefCell<Vec<(Str, Option<Value>)>>,
    pub outer: Option<Rc<Frame>>,
}
impl Frame {
    /// The variable of the innermost scope that declares it; None: no scope does.
    pub fn find(&self, name: &str) -> Option<Option<Value>> {
        let mut frame = Some(self);
        while let Some(f) = frame {
            if let Some((_, value)) = f.variables.borrow().iter().find(|(n, _)| **n == *name) {
                return Some(value.clone());
            }
            frame = f.outer.as_deref();
        }
        None
    }
    pub fn set(&self, name: &Str, value: Option<Value>) {
        let mut variables = self.variables.borrow_mut();
        match variables.iter_mut().find(|(n, _)| n == name) {
            Some(place) => place.1 = value,
            None => variables.push((name.clone(), value)),
        }
    }
}

pub enum Object {
    Namespace(RefCell<Dict>),
    Loop(Loop),
    Cycler(Vec<Value>, Cell<usize>),
    Joiner(Value, Cell<bool>),
    /// Its frame ends before it does where it was carried out of its scope.
    Macro(Arc<Macro>, Weak<Frame>),
    Method(Value, &'static str),
    Function(Function),
    Template, // `self`, of which templates without blocks can ask nothing
}
#[derive(Clone, Copy, PartialEq)]
pub enum Function {
    Range,
    Dict,
    Cycler,
    Joiner,
    Namespace,
    RaiseException,
    StrftimeNow,
    Unsupported,
}
pub struct Loop {
    pub items: Vec<Value>,
    pub index0: Cell<usize>,
    pub depth0: usize,
    pub changed: RefCell<Option<Value>>,
    pub recursion: Option<(Arc<For>, Weak<Frame>)>,
}

impl Object {
    pub fn nest(&self) -> Nest {
        let of = |items: &[Value]| items.iter().map(|v| v.nest().depth).max().unwrap_or(0);
        match self {
            Object::Method(value, _) => Nest { depth: value.nest().depth + 1, ..value.nest() },
            Object::Cycler(items, _) => Nest { depth: of(items) + 1, holds: true },
            Object::Loop(l) => Nest { depth: of(&l.items) + 1, holds: true },
            Object::Joiner(value, _) => Nest { depth: value.nest().depth + 1, holds: true },
            Object::Namespace(_) => Nest { depth: 1, holds: true },
            Object::Macro(..) | Object::Function(_) | Object::Template => Nest { depth: 1, holds: false },
        }
    }
    pub fn type_name(&self) -> &'static str {
        match self {
            Object::Namespace(_) => "Namespace",
            Object::Loop(_) => "LoopContext",
            Object::Cycler(..) => "Cycler",
            Object::Joiner(..) => "Joiner",
            Object::Macro(..) => "Macro",
            Object::Method(..) => "builtin_function_or_method",
            Object::Function(_) => "function",
            Object::Template => "TemplateReference",
        }
    }
    pub fn truth(&self) -> bool {
        match self {
            Object::Loop(l) => !l.items.is_empty(),
            _ => true,
        }
    }
    pub fn len(&self) -> Option<usize> {
        match self {
            Object::Loop(l) => Some(l.items.len()),
            _ => None,
        }
    }
    pub fn is_callable(&self) -> bool {
        !matches!(self, Object::Namespace(_) | Object::Cycler(..) | Object::Template)
    }
    pub fn repr(&self, out: &mut String) -> Res<()> {
        match self {
            Object::Namespace(members) => {
                out.push_str("<Namespace ");
                members.borrow().repr(out)?;
                out.push('>');
            }
            Object::Loop(l) => {
                out.push_str(&format!("<LoopContext {}/{}>", l.index0.get() + 1, l.items.len()));
            }
            Object::Macro(m, _) => match &m.name {
                Some(name) => out.push_str(&format!("<Macro '{name}'>")),
                None => out.push_str("<Macro anonymous>"),
            },
            Object::Template => out.push_str("<TemplateReference None>"),
            Object::Method(_, name) => return fail(format!("the method {name} is printed; call it with ()")),
            other => return fail(format!("a {} is printed", other.type_name())),
        }
        Ok(())
    }
    /// An attribute of the object; None: it has none of that name.
    pub fn attribute(&self, name: &str) -> Res<Option<Value>> {
        let int = |n: usize| Ok(Some(Value::Int(n as i128)));
        match self {
            Object::Namespace(members) => Ok(members.borrow().member(name).cloned()),
            Object::Loop(l) => {
                let at = l.index0.get();
                match name {
                    "index" => int(at + 1),
                    "index0" => int(at),
                    "revindex" => int(l.items.len() - at),
                    "revindex0" => int(l.items.len() - at - 1),
                    "length" => int(l.items.len()),
                    "depth" => int(l.depth0 + 1),
                    "depth0" => int(l.depth0),
                    "first" => Ok(Some(Value::Bool(at == 0))),
                    "last" => Ok(Some(Value::Bool(at + 1 == l.items.len()))),
                    "previtem" if at == 0 => Ok(Some(Value::undefined("there is no previous item"))),
                    "previtem" => Ok(Some(l.items[at - 1].clone())),
                    "nextitem" if at + 1 == l.items.len() => Ok(Some(Value::undefined("there is no next item"))),
                    "nextitem" => Ok(Some(l.items[at + 1].clone())),
                    _ => Ok(None),
                }
            }
            Object::Cycler(items, at) if name == "current" => Ok(Some(items[at.get()].clone())),
            Object::Macro(m, _) if name == "name" => Ok(Some(m.name.clone().map_or(Value::None, Value::Str))),
            Object::Macro(..) if ["arguments", "caller", "catch_kwargs", "catch_varargs"].contains(&name) => {
                fail(format!("the attribute {name} of a macro is not supported"))
            }
            _ => Ok(None),
        }
    }
}
