// gpu/hf/rust/src/jinja/arguments.rs - a call's arguments, bound to parameters as Python binds them.
use super::ast::Str;
use super::ops::Number;
use super::value::Value;
use super::{fail, Res};

#[derive(Default, Clone)]
pub struct Args {
    pub plain: Vec<Value>,
    pub named: Vec<(Str, Value)>,
}
impl Args {
    /// The values in the parameters' order; `of` names the callee in errors.
    pub fn bind<const N: usize>(self, of: &str, parameters: [&str; N]) -> Res<[Option<Value>; N]> {
        if self.plain.len() > N {
            return fail(format!("{of} takes at most {N} arguments ({} given)", self.plain.len()));
        }
        let mut out = [const { None }; N];
        let given = self.plain.len();
        for (place, value) in out.iter_mut().zip(self.plain) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            match parameters.iter().position(|p| **p == *name) {
                Some(i) if i >= given && out[i].is_none() => out[i] = Some(value),
                Some(_) => return fail(format!("{of} got multiple values for argument '{name}'")),
                None => return fail(format!("{of} got an unexpected keyword argument '{name}'")),
            }
        }
        Ok(out)
    }
    /// Arguments of a function that knows no names.
    pub fn positional(self, of: &str) -> Res<Vec<Value>> {
        match self.named.first() {
            Some(_) => fail(format!("{of} takes no keyword arguments")),
            None => Ok(self.plain),
        }
    }
}
pub fn required(value: Option<Value>, of: &str, name: &str) -> Res<Value> {
    value.ok_or_else(|| format!("{of} is missing its argument '{name}'"))
}
/// An int where Python takes an index: bools count, floats do not.
pub fn int(value: &Value, of: &str) -> Res<i128> {
    match Number::of(value.defined()?) {
        Some(Number::Int(i)) => Ok(i),
        _ => fail(format!("{of}: '{}' object cannot be interpreted as an integer", value.type_name())),
    }
}
pub fn text(value: &Value, of: &str) -> Res<Str> {
    match value.defined()?.as_str() {
        Some(s) => Ok(s.clone()),
        None => fail(format!("{of}: a str is needed, not {}", value.type_name())),
    }
}
