// gpu/hf/rust/src/jinja/value.rs - what a template calculates with: Python's objects as far as a
// sandboxed template meets them. Values belong to one rendering.
use super::ast::Str;
use super::object::Object;
use super::{fail, text, Res};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// Lists in lists are printed, compared and dropped by recursion.
const NESTING_MAX: u32 = 300;

#[derive(Clone)]
pub enum Value {
    Undefined(Rc<Undefined>),
    None,
    Bool(bool),
    Int(i128),
    Big(Str), // an integer beyond i128, as JSON wrote it: can be printed, not calculated with
    Float(f64),
    Str(Str),
    Safe(Str), // markupsafe's Markup
    List(Rc<Items>),
    Tuple(Rc<Items>),
    Dict(Rc<Dict>),
    View(View, Rc<Dict>),
    Range(i128, i128, i128),
    /// A generator or iterator: read once, true, without a length.
    Gen(Rc<RefCell<VecDeque<Value>>>),
    Object(Rc<Object>),
}
#[derive(Clone, Copy, PartialEq)]
pub enum View {
    Keys,
    Values,
    Items,
}
pub struct Undefined {
    pub why: String, // the error of using it
}
pub struct Items {
    pub items: Vec<Value>,
    pub is_group: bool, // groupby's (grouper, list)
    nest: Nest,
}
/// How deep a value is, and whether it holds an object that could be made to hold itself.
#[derive(Clone, Copy, Default)]
pub struct Nest {
    pub depth: u32,
    pub holds: bool,
}
impl Nest {
    fn with(self, other: Nest) -> Nest {
        Nest { depth: self.depth.max(other.depth), holds: self.holds || other.holds }
    }
    fn deeper(self) -> Res<Nest> {
        if self.depth >= NESTING_MAX {
            return fail(format!("lists nested deeper than {NESTING_MAX}"));
        }
        Ok(Nest { depth: self.depth + 1, ..self })
    }
}

impl Value {
    pub fn str(text: impl Into<Str>) -> Value {
        Value::Str(text.into())
    }
    pub fn undefined(why: impl Into<String>) -> Value {
        Value::Undefined(Rc::new(Undefined { why: why.into() }))
    }
    pub fn no_attribute(of: &Value, name: &str) -> Value {
        Value::undefined(format!("'{} object' has no attribute '{name}'", of.type_name()))
    }
    fn items(items: Vec<Value>, is_group: bool) -> Res<Rc<Items>> {
        let nest = items.iter().fold(Nest::default(), |n, v| n.with(v.nest())).deeper()?;
        Ok(Rc::new(Items { items, is_group, nest }))
    }
    pub fn list(items: Vec<Value>) -> Res<Value> {
        Ok(Value::List(Value::items(items, false)?))
    }
    pub fn tuple(items: Vec<Value>) -> Res<Value> {
        Ok(Value::Tuple(Value::items(items, false)?))
    }
    pub fn group(key: Value, values: Vec<Value>) -> Res<Value> {
        Ok(Value::Tuple(Value::items(vec![key, Value::list(values)?], true)?))
    }
    pub fn dict(dict: Dict) -> Value {
        Value::Dict(Rc::new(dict))
    }
    pub fn generator(items: impl Into<VecDeque<Value>>) -> Value {
        Value::Gen(Rc::new(RefCell::new(items.into())))
    }
    pub fn object(object: Object) -> Value {
        Value::Object(Rc::new(object))
    }
    pub fn nest(&self) -> Nest {
        match self {
            Value::List(items) | Value::Tuple(items) => items.nest,
            Value::Dict(dict) | Value::View(_, dict) => dict.nest,
            Value::Gen(items) => items.borrow().iter().fold(Nest::default(), |n, v| n.with(v.nest())),
            Value::Object(object) => object.nest(),
            _ => Nest::default(),
        }
    }
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "jinja2.runtime.Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Big(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Safe(_) => "markupsafe.Markup",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::View(View::Keys, _) => "dict_keys",
            Value::View(View::Values, _) => "dict_values",
            Value::View(View::Items, _) => "dict_items",
            Value::Range(..) => "range",
            Value::Gen(_) => "generator",
            Value::Object(object) => object.type_name(),
        }
    }
    pub fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined(_))
    }
    /// The error of using an undefined value.
    pub fn defined(&self) -> Res<&Value> {
        match self {
            Value::Undefined(u) => fail(u.why.clone()),
            other => Ok(other),
        }
    }
    pub fn truth(&self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(b) => *b,
            Value::Int(i) => *i != 0,
            Value::Float(f) => *f != 0.0,
            Value::Str(s) | Value::Safe(s) => !s.is_empty(),
            Value::List(items) | Value::Tuple(items) => !items.items.is_empty(),
            Value::Dict(dict) | Value::View(_, dict) => dict.len() > 0,
            Value::Range(..) => self.range_len() > 0,
            Value::Object(object) => object.truth(),
            Value::Big(_) | Value::Gen(_) => true,
        }
    }
    pub fn as_str(&self) -> Option<&Str> {
        match self {
            Value::Str(s) | Value::Safe(s) => Some(s),
            _ => None,
        }
    }
    pub fn range_len(&self) -> i128 {
        let Value::Range(start, stop, step) = *self else { return 0 };
        let span = if step > 0 { stop - start } else { start - stop };
        if span <= 0 { 0 } else { (span - 1) / step.abs() + 1 }
    }
    /// len(); None where Python has a TypeError.
    pub fn len(&self) -> Option<usize> {
        Some(match self {
            Value::Undefined(_) => 0,
            Value::Str(s) | Value::Safe(s) => s.chars().count(),
            Value::List(items) | Value::Tuple(items) => items.items.len(),
            Value::Dict(dict) | Value::View(_, dict) => dict.len(),
            Value::Range(..) => self.range_len() as usize,
            Value::Object(object) => return object.len(),
            _ => return None,
        })
    }
    pub fn is_iterable(&self) -> bool {
        matches!(self, Value::Gen(_)) || self.len().is_some()
    }
    /// All items; a generator is empty afterwards.
    pub fn iterate(&self) -> Res<Vec<Value>> {
        Ok(match self {
            Value::Undefined(_) => Vec::new(),
            Value::Str(s) | Value::Safe(s) => {
                s.chars().map(|c| Value::str(c.encode_utf8(&mut [0; 4]) as &str)).collect()
            }
            Value::List(items) | Value::Tuple(items) => items.items.clone(),
            Value::Dict(dict) | Value::View(View::Keys, dict) => dict.keys().cloned().collect(),
            Value::View(View::Values, dict) => dict.iter().map(|(_, v)| v.clone()).collect(),
            Value::View(View::Items, dict) => {
                let pair = |(k, v): (&Value, &Value)| Value::tuple(vec![k.clone(), v.clone()]);
                dict.iter().map(pair).collect::<Res<_>>()?
            }
            Value::Range(start, _, step) => (0..self.range_len()).map(|i| Value::Int(start + i * step)).collect(),
            Value::Gen(items) => items.borrow_mut().drain(..).collect(),
            other => return fail(format!("'{}' object is not iterable", other.type_name())),
        })
    }
    /// str().
    pub fn write(&self, out: &mut String) -> Res<()> {
        match self {
            Value::Undefined(_) => (),
            Value::Str(s) | Value::Safe(s) => out.push_str(s),
            other => other.repr(out)?,
        }
        Ok(())
    }
    pub fn to_str(&self) -> Res<Str> {
        if let Some(s) = self.as_str() {
            return Ok(s.clone());
        }
        let mut out = String::new();
        self.write(&mut out)?;
        Ok(out.into())
    }
    pub fn repr(&self, out: &mut String) -> Res<()> {
        let list = |items: &[Value], out: &mut String| -> Res<()> {
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                item.repr(out)?;
            }
            Ok(())
        };
        match self {
            Value::Undefined(_) => out.push_str("Undefined"),
            Value::None => out.push_str("None"),
            Value::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
            Value::Int(i) => out.push_str(&i.to_string()),
            Value::Big(digits) => out.push_str(digits),
            Value::Float(f) => out.push_str(&text::float(*f)),
            Value::Str(s) => text::repr(s, out),
            Value::Safe(s) => {
                out.push_str("Markup(");
                text::repr(s, out);
                out.push(')');
            }
            Value::List(items) => {
                out.push('[');
                list(&items.items, out)?;
                out.push(']');
            }
            Value::Tuple(items) => {
                out.push('(');
                list(&items.items, out)?;
                out.push_str(if items.items.len() == 1 { ",)" } else { ")" });
            }
            Value::Dict(dict) => dict.repr(out)?,
            Value::View(kind, dict) => {
                let name = ["dict_keys([", "dict_values([", "dict_items(["][*kind as usize];
                out.push_str(name);
                list(&Value::View(*kind, dict.clone()).iterate()?, out)?;
                out.push_str("])");
            }
            Value::Range(start, stop, 1) => out.push_str(&format!("range({start}, {stop})")),
            Value::Range(start, stop, step) => out.push_str(&format!("range({start}, {stop}, {step})")),
            Value::Gen(_) => return fail("a generator is printed; put |list or |join behind it"),
            Value::Object(object) => object.repr(out)?,
        }
        Ok(())
    }
}

/// A dict: in insertion order, keys equal as in Python (1 == 1.0 == true).
#[derive(Default)]
pub struct Dict {
    entries: Vec<(Value, Value)>,
    index: HashMap<Key, usize>, // of all entries when there are more than a few
    nest: Nest,
}
const FEW: usize = 8;
struct Key(Value);
impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        super::ops::equal(&self.0, &other.0)
    }
}
impl Eq for Key {}
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Value::Str(s) | Value::Safe(s) => s.hash(state),
            Value::Bool(b) => i128::from(*b).hash(state),
            Value::Int(i) => i.hash(state),
            Value::Float(f) if *f == f.trunc() && f.abs() < 1e18 => (*f as i128).hash(state),
            Value::Float(f) => f.to_bits().hash(state),
            Value::Tuple(items) => items.items.len().hash(state),
            _ => 0.hash(state),
        }
    }
}
impl Dict {
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    pub fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(k, v)| (k, v))
    }
    pub fn keys(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().map(|(k, _)| k)
    }
    fn place(&self, key: &Value) -> Option<usize> {
        if self.entries.len() <= FEW {
            return self.entries.iter().position(|(k, _)| super::ops::equal(k, key));
        }
        self.index.get(&Key(key.clone())).copied()
    }
    /// The key must be hashable (`hashable`).
    pub fn get(&self, key: &Value) -> Option<&Value> {
        self.place(key).map(|i| &self.entries[i].1)
    }
    pub fn member(&self, name: &str) -> Option<&Value> {
        if self.entries.len() > FEW {
            return self.get(&Value::str(name));
        }
        self.entries.iter().find(|(k, _)| k.as_str().is_some_and(|s| **s == *name)).map(|(_, v)| v)
    }
    pub fn insert(&mut self, key: Value, value: Value) -> Res<()> {
        hashable(&key)?;
        let inner = self.nest.with(key.nest()).with(value.nest());
        self.nest = Nest { depth: self.nest.depth, ..inner };
        let deeper = Nest { depth: key.nest().depth.max(value.nest().depth), ..inner }.deeper()?;
        self.nest.depth = self.nest.depth.max(deeper.depth);
        if let Some(i) = self.place(&key) {
            self.entries[i].1 = value;
            return Ok(());
        }
        self.entries.push((key, value));
        let n = self.entries.len();
        let from = if n == FEW + 1 { 0 } else { n - 1 };
        if n > FEW {
            for i in from..n {
                self.index.insert(Key(self.entries[i].0.clone()), i);
            }
        }
        Ok(())
    }
    pub fn repr(&self, out: &mut String) -> Res<()> {
        out.push('{');
        for (i, (key, value)) in self.iter().enumerate() {
            out.push_str(if i > 0 { ", " } else { "" });
            key.repr(out)?;
            out.push_str(": ");
            value.repr(out)?;
        }
        out.push('}');
        Ok(())
    }
}
pub fn hashable(key: &Value) -> Res<()> {
    match key {
        Value::List(_) | Value::Dict(_) | Value::View(..) => fail(format!("unhashable type: '{}'", key.type_name())),
        Value::Tuple(items) => items.items.iter().try_for_each(hashable),
        _ => Ok(()),
    }
}
