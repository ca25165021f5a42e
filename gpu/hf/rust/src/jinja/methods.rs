// gpu/hf/rust/src/jinja/methods.rs - attributes, items, and the methods of Python's own types. The
// sandbox hides those that change an object; those that are missing here are refused by name.
use super::arguments::{int, required, text as text_of, Args};
use super::ast::Str;
use super::eval::Render;
use super::object::{Function, Object};
use super::text::{self, is_space};
use super::value::{hashable, Value, View};
use super::{fail, ops, printf, Res};

pub fn global(name: &str) -> Option<Value> {
    let function = match name {
        "range" => Function::Range,
        "dict" => Function::Dict,
        "cycler" => Function::Cycler,
        "joiner" => Function::Joiner,
        "namespace" => Function::Namespace,
        "raise_exception" => Function::RaiseException,
        "strftime_now" => Function::StrftimeNow,
        "lipsum" => Function::Unsupported,
        "self" => return Some(Value::object(Object::Template)),
        _ => return None,
    };
    Some(Value::object(Object::Function(function)))
}

const TEXT: &[&str] = &[
    "capitalize", "center", "count", "endswith", "expandtabs", "find", "format", "index", "isalnum", "isalpha",
    "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "isupper", "join", "ljust", "lower",
    "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition",
    "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill",
];
const DICT: &[&str] = &["copy", "get", "items", "keys", "values"];
const LIST: &[&str] = &["copy", "count", "index"];
const TUPLE: &[&str] = &["count", "index"];
const LOOP: &[&str] = &["cycle", "changed"];
const CYCLER: &[&str] = &["next", "reset"];
/// Python has these, the sandbox does not give them out.
fn is_hidden(of: &Value, name: &str) -> bool {
    match of {
        Value::Dict(_) => ["clear", "pop", "popitem", "setdefault", "update"].contains(&name),
        Value::List(_) => {
            ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"].contains(&name)
        }
        _ => false,
    }
}
/// Python has these, they are not made here.
fn is_missing(of: &Value, name: &str) -> bool {
    let numbers = ["real", "imag", "conjugate", "as_integer_ratio"];
    match of {
        Value::Str(_) => {
            ["casefold", "encode", "format_map", "isidentifier", "isprintable", "istitle", "maketrans", "translate"]
                .contains(&name)
        }
        Value::Safe(_) => TEXT.contains(&name) || ["escape", "unescape", "striptags", "encode"].contains(&name),
        Value::Dict(_) => name == "fromkeys",
        Value::Bool(_) | Value::Int(_) | Value::Big(_) => {
            numbers.contains(&name)
                || ["numerator", "denominator", "bit_length", "bit_count", "to_bytes", "from_bytes"].contains(&name)
        }
        Value::Float(_) => numbers.contains(&name) || ["is_integer", "hex", "fromhex"].contains(&name),
        Value::Range(..) => ["count", "index", "start", "stop", "step"].contains(&name),
        Value::View(..) => ["isdisjoint", "mapping"].contains(&name),
        Value::Gen(_) => ["close", "send", "throw", "gi_running", "gi_yieldfrom", "gi_suspended"].contains(&name),
        Value::Tuple(items) => items.is_group && name.starts_with('_'),
        Value::Object(o) => match &**o {
            Object::Function(Function::Dict) => name == "fromkeys",
            Object::Joiner(..) => ["sep", "used"].contains(&name),
            Object::Cycler(..) => ["items", "pos"].contains(&name),
            _ => false,
        },
        _ => false,
    }
}
/// getattr; None: an AttributeError.
fn own(of: &Value, name: &str) -> Res<Option<Value>> {
    let names = match of {
        Value::Undefined(_) => {
            of.defined()?;
            &[]
        }
        Value::Str(_) => TEXT,
        Value::Dict(_) => DICT,
        Value::List(_) => LIST,
        Value::Tuple(items) => {
            if let Some(i) = ["grouper", "list"].iter().position(|n| items.is_group && *n == name) {
                return Ok(Some(items.items[i].clone()));
            }
            TUPLE
        }
        Value::Object(o) => {
            if let Some(found) = o.attribute(name)? {
                return Ok(Some(found));
            }
            match &**o {
                Object::Loop(_) => LOOP,
                Object::Cycler(..) => CYCLER,
                _ => &[],
            }
        }
        _ => &[],
    };
    if let Some(&name) = names.iter().find(|n| **n == name) {
        return Ok(Some(Value::object(Object::Method(of.clone(), name))));
    }
    let is_dunder = name.len() > 4 && name.starts_with("__") && name.ends_with("__");
    if is_dunder || is_missing(of, name) {
        return fail(format!("the attribute '{name}' of a {} is not supported", of.type_name()));
    }
    if is_hidden(of, name) {
        return Ok(Some(Value::undefined(format!(
            "access to attribute '{name}' of '{}' object is unsafe.",
            of.type_name()
        ))));
    }
    Ok(None)
}
pub fn has_own(of: &Value, name: &str) -> Res<bool> {
    Ok(own(of, name)?.is_some())
}
/// value.name
pub fn attribute(of: &Value, name: &Str) -> Res<Value> {
    if let Some(found) = own(of, name)? {
        return Ok(found);
    }
    if let Value::Dict(dict) = of {
        if let Some(found) = dict.member(name) {
            return Ok(found.clone());
        }
    }
    Ok(Value::no_attribute(of, name))
}
/// value[at]
pub fn item(of: &Value, at: &Value) -> Res<Value> {
    if let Some(found) = ops::index(of, at)? {
        return Ok(found);
    }
    if let Some(name) = at.as_str() {
        return Ok(own(of, name)?.unwrap_or_else(|| Value::no_attribute(of, name)));
    }
    let mut key = String::new();
    at.repr(&mut key)?;
    Ok(Value::undefined(format!("{} object has no element {key}", of.type_name())))
}

pub fn call(render: &mut Render, of: &Value, name: &str, args: Args) -> Res<Value> {
    match of {
        Value::Str(s) if name == "format" => {
            let mut names = args.named.iter();
            let braces = printf::braces(
                s,
                &mut |field| match field.parse::<usize>() {
                    Ok(i) => args.plain.get(i).cloned().ok_or_else(|| "format: too few arguments".into()),
                    Err(_) => {
                        let found = names.clone().find(|(n, _)| **n == *field);
                        found.map(|(_, v)| v.clone()).ok_or_else(|| format!("KeyError: '{field}'"))
                    }
                },
                &mut |value, name, is_member| {
                    if is_member {
                        return attribute(value, &name.into());
                    }
                    let index = name.parse::<i128>().map(Value::Int).unwrap_or_else(|_| Value::str(name));
                    item(value, &index)
                },
            )?;
            names.next();
            Ok(Value::str(braces))
        }
        Value::Str(s) => {
            render.spend(s.len() / 8)?;
            super::filters_text::method(s, name, args)
        }
        Value::Dict(dict) => {
            if name == "get" {
                let mut values = args.positional("get")?.into_iter();
                let key = required(values.next(), "get", "key")?;
                hashable(&key)?;
                let default = values.next();
                if values.next().is_some() {
                    return fail("get expected at most 2 arguments");
                }
                return Ok(dict.get(&key).cloned().or(default).unwrap_or(Value::None));
            }
            args.bind(name, [])?;
            Ok(match name {
                "items" => Value::View(View::Items, dict.clone()),
                "keys" => Value::View(View::Keys, dict.clone()),
                "values" => Value::View(View::Values, dict.clone()),
                _ => of.clone(), // copy: nothing changes either of them
            })
        }
        Value::List(items) | Value::Tuple(items) => {
            let values = args.positional(name)?;
            match (name, &values[..]) {
                ("copy", []) => Ok(of.clone()),
                ("count", [one]) => {
                    Ok(Value::Int(items.items.iter().filter(|v| ops::equal(v, one)).count() as i128))
                }
                ("index", [one]) => match items.items.iter().position(|v| ops::equal(v, one)) {
                    Some(i) => Ok(Value::Int(i as i128)),
                    None => fail(format!("the value is not in the {}", of.type_name())),
                },
                _ => fail(format!("{name}() with these arguments is not supported")),
            }
        }
        Value::Object(o) => match &**o {
            Object::Cycler(items, at) => {
                args.bind(name, [])?;
                let now = items[at.get()].clone();
                let next = if name == "reset" { 0 } else { (at.get() + 1) % items.len() };
                at.set(next);
                Ok(if name == "reset" { Value::None } else { now })
            }
            _ => fail(format!("the method {name} is not supported")),
        },
        _ => fail(format!("the method {name} of a {} is not supported", of.type_name())),
    }
}
/// strip, lstrip, rstrip.
pub fn stripped<'t>(body: &'t str, name: &str, characters: Option<&Value>) -> Res<&'t str> {
    let set = match characters {
        None | Some(Value::None) => None,
        Some(v) => Some(text_of(v, name)?),
    };
    let cut = |c: char| set.as_ref().map_or_else(|| is_space(c), |s| s.contains(c));
    Ok(match name {
        "lstrip" => body.trim_start_matches(cut),
        "rstrip" => body.trim_end_matches(cut),
        _ => body.trim_matches(cut),
    })
}
/// center, ljust, rjust.
pub fn justified(body: &str, name: &str, width: &Value, fill: Option<&Value>) -> Res<String> {
    let width = usize::try_from(int(width, name)?.max(0)).unwrap_or(usize::MAX);
    if width > 1 << 20 {
        return fail(format!("{name}: a width of more than 2**20"));
    }
    let fill = match fill {
        None => ' ',
        Some(v) => match text_of(v, name)?.chars().collect::<Vec<_>>()[..] {
            [c] => c,
            _ => return fail("The fill character must be exactly one character long"),
        },
    };
    let missing = width.saturating_sub(body.chars().count());
    let before = match name {
        "rjust" => missing,
        "center" => missing / 2 + (missing & width & 1),
        _ => 0,
    };
    let mut out = String::new();
    out.extend(std::iter::repeat_n(fill, before));
    out.push_str(body);
    out.extend(std::iter::repeat_n(fill, missing - before));
    Ok(out)
}
/// str.title: a letter behind no letter begins a word.
pub fn titled(body: &str) -> Res<String> {
    let mut out = String::with_capacity(body.len());
    let mut in_word = false;
    for c in body.chars() {
        if c.is_lowercase() || c.is_uppercase() {
            if in_word {
                if c == 'Σ' {
                    return fail("title: a Σ inside of a word is not supported");
                }
                out.extend(c.to_lowercase());
            } else {
                text::title_case(c, &mut out)?;
            }
            in_word = true;
        } else {
            out.push(c);
            in_word = false;
        }
    }
    Ok(out)
}
