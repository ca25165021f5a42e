// gpu/hf/rust/src/jinja/tests.rs - the tests behind `is`.
use super::arguments::{required, Args};
use super::ast::{Cmp, Op};
use super::filters_text::is_cased;
use super::object::Object;
use super::value::{hashable, Value};
use super::{fail, filters, ops, Res};

const NAMES: &[&str] = &[
    "odd", "even", "divisibleby", "defined", "undefined", "filter", "test", "none", "boolean", "false", "true",
    "integer", "float", "lower", "upper", "string", "mapping", "number", "sequence", "iterable", "callable", "sameas",
    "escaped", "in", "==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", "ge", ">=", "<", "lt", "lessthan",
    "<=", "le",
];
pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}
pub fn apply(name: &str, value: &Value, args: Args) -> Res<bool> {
    let cmp = match name {
        "==" | "eq" | "equalto" => Some(Cmp::Eq),
        "!=" | "ne" => Some(Cmp::Ne),
        "<" | "lt" | "lessthan" => Some(Cmp::Lt),
        "<=" | "le" => Some(Cmp::Le),
        ">" | "gt" | "greaterthan" => Some(Cmp::Gt),
        ">=" | "ge" => Some(Cmp::Ge),
        _ => None,
    };
    if let Some(cmp) = cmp {
        return match &args.positional(name)?[..] {
            [other] => ops::compare(cmp, value, other),
            values => fail(format!("the test {name} takes one argument, not {}", values.len())),
        };
    }
    match name {
        "divisibleby" => {
            let [by] = args.bind(name, ["num"])?;
            is_rest(value, required(by, name, "num")?, 0)
        }
        "in" => {
            let [holder] = args.bind(name, ["seq"])?;
            ops::contains(&required(holder, name, "seq")?, value)
        }
        "sameas" => {
            let [other] = args.bind(name, ["other"])?;
            same(value, &required(other, name, "other")?)
        }
        _ => {
            args.bind(name, [])?;
            plain(name, value)
        }
    }
}
fn is_rest(value: &Value, by: Value, rest: i128) -> Res<bool> {
    if matches!(value, Value::Str(_)) {
        return fail("a test of a remainder needs a number");
    }
    Ok(ops::equal(&ops::binary(Op::Mod, value, &by)?, &Value::Int(rest)))
}
/// `is` in Python; small integers and texts are decided by the interpreter's caches.
fn same(a: &Value, b: &Value) -> Res<bool> {
    let by_cache = |v: &Value| matches!(v, Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Str(_) | Value::Safe(_));
    if by_cache(a) && by_cache(b) && a.type_name() == b.type_name() && ops::equal(a, b) {
        return match (a, b) {
            (Value::Int(i), Value::Int(_)) if (-5..=256).contains(i) => Ok(true),
            _ => fail("sameas of two equal numbers or texts is not supported; use =="),
        };
    }
    Ok(ops::is_same(a, b))
}
fn plain(name: &str, value: &Value) -> Res<bool> {
    let is_integer = matches!(value, Value::Int(_) | Value::Big(_));
    Ok(match name {
        "odd" => return is_rest(value, Value::Int(2), 1),
        "even" => return is_rest(value, Value::Int(2), 0),
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "filter" | "test" if !matches!(value, Value::Str(_)) => {
            hashable(value)?;
            false
        }
        "filter" => value.as_str().is_some_and(|s| filters::is_known(s)),
        "test" => value.as_str().is_some_and(|s| is_known(s)),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "false" => matches!(value, Value::Bool(false)),
        "true" => matches!(value, Value::Bool(true)),
        "integer" => is_integer,
        "float" => matches!(value, Value::Float(_)),
        "number" => is_integer || matches!(value, Value::Bool(_) | Value::Float(_)),
        "lower" => is_cased(&value.to_str()?, false),
        "upper" => is_cased(&value.to_str()?, true),
        "string" => matches!(value, Value::Str(_) | Value::Safe(_)),
        "mapping" => matches!(value, Value::Dict(_)),
        "sequence" => match value {
            // Undefined has a length, and its __getitem__ is there, too.
            Value::View(..) => false,
            Value::Object(_) => false,
            other => other.len().is_some(),
        },
        // iter() asks only whether there is a __getitem__.
        "iterable" => value.is_iterable() || matches!(value, Value::Object(o) if matches!(**o, Object::Template)),
        "callable" => match value {
            Value::Object(o) => o.is_callable(),
            other => other.is_undefined(),
        },
        "escaped" => matches!(value, Value::Safe(_)),
        other => return fail(format!("No test named '{other}'.")),
    })
}
