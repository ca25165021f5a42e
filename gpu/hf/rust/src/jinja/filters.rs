// gpu/hf/rust/src/jinja/filters.rs - the filters by name; those of texts and sequences lie beside.
use super::arguments::{int, required, text as text_of, Args};
use super::ast::Op;
use super::eval::Render;
use super::ops::{self, Number};
use super::value::{Dict, Value, View};
use super::{fail, filters_sequence as sequence, filters_text as texts, json, methods, printf, text, Res};

const NAMES: &[&str] = &[
    "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape",
    "filesizeformat", "first", "float", "forceescape", "format", "groupby", "indent", "int", "join", "last", "length",
    "list", "lower", "items", "map", "min", "max", "pprint", "random", "reject", "rejectattr", "replace", "reverse",
    "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum", "title", "trim",
    "truncate", "unique", "upper", "urlencode", "urlize", "wordcount", "wordwrap", "xmlattr", "tojson",
];
pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}
pub fn apply(render: &mut Render, name: &str, value: Value, args: Args) -> Res<Value> {
    render.spend(value.len().unwrap_or(0) / 8)?;
    match name {
        "batch" => sequence::batch(&value, args),
        "dictsort" => sequence::dictsort(&value, args),
        "groupby" => sequence::group_by(&value, args),
        "join" => sequence::join(&value, args),
        "map" => sequence::map(render, &value, args),
        "max" => sequence::extreme(&value, "max", args),
        "min" => sequence::extreme(&value, "min", args),
        "reject" => sequence::choose(render, &value, args, false, false),
        "rejectattr" => sequence::choose(render, &value, args, false, true),
        "select" => sequence::choose(render, &value, args, true, false),
        "selectattr" => sequence::choose(render, &value, args, true, true),
        "slice" => sequence::slice(&value, args),
        "sort" => sequence::sort(&value, args),
        "sum" => sequence::sum(&value, args),
        "unique" => sequence::unique(&value, args),
        "tojson" => json::filter(&value, args),
        "indent" => match &value {
            Value::Str(s) => texts::indented(s, args),
            other => fail(format!("indent: a str is needed, not {}", other.type_name())),
        },
        "truncate" => texts::truncated(&value, args),
        "d" | "default" => {
            let [default, boolean] = args.bind("default", ["default_value", "boolean"])?;
            let replaces = value.is_undefined() || (boolean.is_some_and(|v| v.truth()) && !value.truth());
            Ok(if replaces { default.unwrap_or_else(|| Value::str("")) } else { value })
        }
        "attr" => {
            let [wanted] = args.bind("attr", ["name"])?;
            let wanted = text_of(&required(wanted, "attr", "name")?, "attr")?;
            attribute_only(&value, &wanted)
        }
        "center" => {
            let [width] = args.bind("center", ["width"])?;
            let width = width.unwrap_or(Value::Int(80));
            like(&value, |s| methods::justified(s, "center", &width, None))
        }
        "format" => {
            let formatted = value.to_str()?;
            if !args.plain.is_empty() && !args.named.is_empty() {
                return fail("can't handle positional and keyword arguments at the same time");
            }
            let mut dict = Dict::default();
            for (name, value) in args.named {
                dict.insert(Value::Str(name), value)?;
            }
            let given = if dict.len() > 0 { Value::dict(dict) } else { Value::tuple(args.plain)? };
            Ok(Value::str(printf::percent(&formatted, &given)?))
        }
        "replace" => {
            let [old, new, count] = args.bind("replace", ["old", "new", "count"])?;
            let old = required(old, "replace", "old")?.to_str()?;
            let new = required(new, "replace", "new")?.to_str()?;
            let count = match count {
                None | Some(Value::None) => None,
                Some(v) => Some(int(&v, "replace")?),
            };
            Ok(Value::str(texts::replaced(&value.to_str()?, &old, &new, count)?))
        }
        "trim" => {
            let [characters] = args.bind("trim", ["chars"])?;
            like(&value, |s| Ok(methods::stripped(s, "strip", characters.as_ref())?.to_string()))
        }
        "int" => {
            let [default, base] = args.bind("int", ["default", "base"])?;
            to_int(&value, default.unwrap_or(Value::Int(0)), base.map_or(Ok(10), |v| int(&v, "int"))?)
        }
        "float" => {
            let [default] = args.bind("float", ["default"])?;
            to_float(value.defined()?, default.unwrap_or(Value::Float(0.0)))
        }
        "round" => round(&value, args),
        "filesizeformat" => {
            let [binary] = args.bind("filesizeformat", ["binary"])?;
            Ok(Value::str(texts::file_size(&value, binary.is_some_and(|v| v.truth()))?))
        }
        "random" | "urlize" | "wordwrap" | "striptags" | "xmlattr" => {
            fail(format!("the filter '{name}' is not supported in chat templates"))
        }
        _ => {
            args.bind(name, [])?;
            plain(name, value)
        }
    }
}
/// soft_str and what f makes of it: marked safe where the value was.
fn like(value: &Value, f: impl Fn(&str) -> Res<String>) -> Res<Value> {
    let made = f(&value.to_str()?)?;
    Ok(if matches!(value, Value::Safe(_)) { Value::Safe(made.into()) } else { Value::str(made) })
}
fn plain(name: &str, value: Value) -> Res<Value> {
    match name {
        "abs" => match Number::of(value.defined()?) {
            Some(Number::Int(i)) => i.checked_abs().map(Value::Int).ok_or_else(|| "out of range".into()),
            Some(Number::Float(f)) => Ok(Value::Float(f.abs())),
            None => fail(format!("bad operand type for abs(): '{}'", value.type_name())),
        },
        "capitalize" => like(&value, text::capitalize),
        "count" | "length" => match value.len() {
            Some(n) => Ok(Value::Int(n as i128)),
            None => fail(format!("object of type '{}' has no len()", value.type_name())),
        },
        "e" | "escape" if matches!(value, Value::Safe(_)) => Ok(value),
        "e" | "escape" | "forceescape" => Ok(Value::Safe(texts::escaped(&value.to_str()?).into())),
        "first" => match &value {
            Value::Gen(items) => Ok(items.borrow_mut().pop_front().unwrap_or_else(|| empty("first"))),
            other => Ok(other.iterate()?.into_iter().next().unwrap_or_else(|| empty("first"))),
        },
        "last" => match &value {
            Value::Gen(_) | Value::Object(_) => fail(format!("'{}' object is not reversible", value.type_name())),
            Value::Undefined(_) => fail("'Undefined' object is not reversible"),
            other => Ok(other.iterate()?.pop().unwrap_or_else(|| empty("last"))),
        },
        "items" => match &value {
            Value::Undefined(_) => Ok(Value::generator(Vec::new())),
            Value::Dict(dict) => Ok(Value::generator(Value::View(View::Items, dict.clone()).iterate()?)),
            _ => fail("Can only get item pairs from a mapping."),
        },
        "list" => Value::list(value.iterate()?),
        "lower" => like(&value, |s| Ok(s.to_lowercase())),
        "upper" => like(&value, |s| Ok(s.to_uppercase())),
        "title" => Ok(Value::str(texts::title_filter(&value.to_str()?)?)),
        "pprint" => {
            let mut out = String::new();
            pretty(&value)?.repr(&mut out)?;
            if out.chars().count() > 80 {
                return fail("pprint of what does not fit a line is not supported");
            }
            Ok(Value::str(out))
        }
        "reverse" => match &value {
            Value::Str(s) => Ok(Value::str(s.chars().rev().collect::<String>())),
            other => {
                let mut items = other.iterate()?;
                items.reverse();
                // reversed() of what cannot be read backwards is a list.
                let is_list = matches!(other, Value::Gen(_));
                if is_list { Value::list(items) } else { Ok(Value::generator(items)) }
            }
        },
        "safe" => Ok(Value::Safe(value.to_str()?)),
        "string" => Ok(if matches!(value, Value::Safe(_)) { value } else { Value::Str(value.to_str()?) }),
        "urlencode" => texts::url_encoded(&value),
        "wordcount" => Ok(Value::Int(texts::word_count(&value.to_str()?)?)),
        other => fail(format!("No filter named '{other}'.")),
    }
}
fn empty(which: &str) -> Value {
    Value::undefined(format!("No {which} item, sequence was empty."))
}
/// pprint writes a dict by its sorted keys.
fn pretty(value: &Value) -> Res<Value> {
    Ok(match value {
        Value::List(items) => Value::list(items.items.iter().map(pretty).collect::<Res<_>>()?)?,
        Value::Tuple(items) if !items.is_group => Value::tuple(items.items.iter().map(pretty).collect::<Res<_>>()?)?,
        Value::Dict(dict) => {
            let mut entries: Vec<(&Value, &Value)> = dict.iter().collect();
            if entries.iter().any(|(k, _)| k.as_str().is_none()) {
                return fail("pprint of keys that are no texts is not supported");
            }
            entries.sort_by(|a, b| a.0.as_str().cmp(&b.0.as_str()));
            let mut out = Dict::default();
            for (key, value) in entries {
                out.insert(key.clone(), pretty(value)?)?;
            }
            Value::dict(out)
        }
        Value::View(..) | Value::Tuple(_) => return fail("pprint of this is not supported"),
        other => other.clone(),
    })
}
/// getattr without items.
fn attribute_only(value: &Value, name: &super::Str) -> Res<Value> {
    let found = match value {
        Value::Dict(dict) if dict.member(name).is_some() && !methods::has_own(value, name)? => None,
        other => Some(methods::attribute(other, name)?),
    };
    match (found, value) {
        (Some(v), _) => Ok(v),
        (None, of) => Ok(Value::no_attribute(of, name)),
    }
}
fn whole(f: f64) -> Res<Value> {
    if f.abs() >= 1.7e38 {
        return fail("int: more than 38 digits are not supported");
    }
    Ok(Value::Int(f.trunc() as i128))
}
fn to_int(value: &Value, default: Value, base: i128) -> Res<Value> {
    Ok(match value.defined()? {
        Value::Str(s) => match text::parse_int(s, base)? {
            Some(i) => Value::Int(i),
            None => match text::parse_float(s) {
                Some(f) if f.is_finite() => whole(f)?,
                _ => default,
            },
        },
        Value::Bool(b) => Value::Int(i128::from(*b)),
        Value::Int(i) => Value::Int(*i),
        Value::Float(f) if f.is_nan() => default,
        Value::Float(f) if f.is_infinite() => return fail("cannot convert float infinity to integer"),
        Value::Float(f) => whole(*f)?,
        Value::Big(_) | Value::Safe(_) => return fail("int of this value is not supported"),
        _ => default,
    })
}
fn to_float(value: &Value, default: Value) -> Res<Value> {
    Ok(match value {
        Value::Str(s) => {
            if s.chars().any(|c| !c.is_ascii() && c.is_numeric()) {
                return fail("float of digits that are not ASCII is not supported");
            }
            text::parse_float(s).map_or(default, Value::Float)
        }
        Value::Big(_) | Value::Safe(_) => return fail("float of this value is not supported"),
        other => match Number::of(other) {
            Some(n) => Value::Float(n.float()?),
            None => default,
        },
    })
}
fn round(value: &Value, args: Args) -> Res<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"])?;
    let method = method.map_or_else(|| Ok("common".into()), |v| text_of(&v, "round"))?;
    let precision = match precision {
        None => 0,
        Some(v) => int(&v, "round")?,
    };
    let number = match Number::of(value.defined()?) {
        Some(n) => n,
        None => return fail(format!("round of a {}", value.type_name())),
    };
    match (&*method, number) {
        ("common", Number::Int(i)) if precision >= 0 => Ok(Value::Int(i)),
        ("common", Number::Float(f)) if (0..=300).contains(&precision) && f.is_finite() => {
            let text = format!("{f:.*}", precision as usize);
            Ok(Value::Float(text.parse().unwrap_or(f)))
        }
        ("ceil" | "floor", n) if (0..=22).contains(&precision) => {
            let power = 10i128.pow(precision as u32);
            // int * int stays an integer, and its ceil and floor are itself.
            let scaled = match n {
                Number::Int(i) => {
                    let scaled = ops::binary(Op::Mul, &Value::Int(i), &Value::Int(power))?;
                    return ops::binary(Op::Div, &scaled, &Value::Int(power));
                }
                Number::Float(f) => f * power as f64,
            };
            let rounded = if &*method == "ceil" { scaled.ceil() } else { scaled.floor() };
            ops::binary(Op::Div, &whole(rounded)?, &Value::Int(power))
        }
        ("common" | "ceil" | "floor", _) => fail("round with this precision is not supported"),
        _ => fail("method must be common, ceil or floor"),
    }
}
