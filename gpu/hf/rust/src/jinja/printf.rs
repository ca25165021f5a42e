// gpu/hf/rust/src/jinja/printf.rs - Python's '%' formatting and str.format.
use super::ops::Number;
use super::text;
use super::value::Value;
use super::{fail, Res};

/// Width and the like of both kinds of formatting.
#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>, // < > ^ =
    sign: Option<char>,  // + or blank
    alternate: bool,
    zero: bool,
    width: usize,
    group: bool, // by commas
    precision: Option<usize>,
    kind: char,
}
const WIDTH_MAX: usize = 10_000;

pub fn percent(format: &str, arguments: &Value) -> Res<String> {
    let list: Vec<Value> = match arguments {
        Value::Tuple(items) => items.items.clone(),
        other => vec![other.clone()],
    };
    let mut next = list.iter();
    let mut out = String::new();
    let mut at = format.chars().peekable();
    let mut used_names = false;
    while let Some(c) = at.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut named = None;
        if at.peek() == Some(&'(') {
            at.next();
            let name: String = at.by_ref().take_while(|&c| c != ')').collect();
            let Value::Dict(dict) = arguments else { return fail("format requires a mapping") };
            let Some(value) = dict.member(&name) else { return fail(format!("KeyError: '{name}'")) };
            named = Some(value.clone());
            used_names = true;
        }
        let mut spec = Spec { kind: 's', ..Spec::default() };
        while let Some(flag) = at.next_if(|c| "-+ #0".contains(*c)) {
            match flag {
                '-' => spec.align = Some('<'),
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '#' => spec.alternate = true,
                _ => spec.zero = true,
            }
        }
        let number = |at: &mut std::iter::Peekable<std::str::Chars>| -> Res<Option<usize>> {
            if at.next_if_eq(&'*').is_some() {
                return fail("'*' in a format is not supported");
            }
            let mut digits = String::new();
            while let Some(c) = at.next_if(char::is_ascii_digit) {
                digits.push(c);
            }
            Ok(if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(usize::MAX)) })
        };
        spec.width = number(&mut at)?.unwrap_or(0);
        if at.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut at)?.unwrap_or(0));
        }
        while at.next_if(|c| "hlL".contains(*c)).is_some() {}
        let Some(kind) = at.next() else { return fail("incomplete format") };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = named.or_else(|| next.next().cloned()) else {
            return fail("not enough arguments for format string");
        };
        spec.kind = kind;
        percent_one(&value, spec, &mut out)?;
    }
    let may_be_left = matches!(arguments, Value::Dict(_) | Value::List(_) | Value::Undefined(_) | Value::Range(..));
    if next.next().is_some() && !used_names && !may_be_left {
        return fail("not all arguments converted during string formatting");
    }
    Ok(out)
}
fn percent_one(value: &Value, mut spec: Spec, out: &mut String) -> Res<()> {
    let kind = spec.kind;
    match kind {
        's' | 'r' => {
            let mut body = String::new();
            if kind == 's' { value.write(&mut body)? } else { value.repr(&mut body)? }
            spec.align = spec.align.or(Some('>'));
            spec.kind = 's';
            spec.zero = false;
            pad(&cut(body, spec.precision), &spec, out)
        }
        'c' => match value.as_str() {
            Some(s) if s.chars().count() == 1 => {
                spec.align = spec.align.or(Some('>'));
                pad(s, &Spec { zero: false, ..spec }, out)
            }
            _ => fail("%c requires a single character here"),
        },
        'd' | 'i' | 'u' => {
            let whole = match Number::of(value) {
                Some(Number::Int(i)) => i,
                Some(Number::Float(f)) if f.is_finite() && f.abs() < 1e38 => f.trunc() as i128,
                _ => return fail(format!("%{kind} format: a real number is required, not {}", value.type_name())),
            };
            if spec.precision.is_some() {
                return fail(format!("a precision for %{kind} is not supported"));
            }
            spec.kind = 'd';
            number(Number::Int(whole), spec, out)
        }
        'x' | 'X' | 'o' => match Number::of(value) {
            Some(Number::Int(i)) if spec.precision.is_none() => number(Number::Int(i), spec, out),
            _ => fail(format!("%{kind} format: an integer is required, not {}", value.type_name())),
        },
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match Number::of(value) {
            Some(n) => number(Number::Float(n.float()?), spec, out),
            None => fail(format!("%{kind}: must be real number, not {}", value.type_name())),
        },
        other => fail(format!("unsupported format character '{other}'")),
    }
}

/// str.format; `lookup` gives a field's value by its first name, `member` one by attribute (true)
/// or index.
pub fn braces(
    format: &str,
    lookup: &mut dyn FnMut(&str) -> Res<Value>,
    member: &mut dyn FnMut(&Value, &str, bool) -> Res<Value>,
) -> Res<String> {
    let mut out = String::new();
    let mut count = 0usize;
    let mut rest = format;
    while let Some(i) = rest.find(['{', '}']) {
        out.push_str(&rest[..i]);
        let c = &rest[i..i + 1];
        rest = &rest[i + 1..];
        if let Some(after) = rest.strip_prefix(c) {
            out.push_str(c);
            rest = after;
            continue;
        }
        if c == "}" {
            return fail("Single '}' encountered in format string");
        }
        let Some(end) = rest.find('}') else { return fail("expected '}' before end of string") };
        let field = &rest[..end];
        rest = &rest[end + 1..];
        if field.contains('{') {
            return fail("a field inside of a format field is not supported");
        }
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        let (path, conversion) = field.split_once('!').unwrap_or((field, ""));
        let first = path.find(['.', '[']).unwrap_or(path.len());
        let name = if first == 0 {
            count += 1;
            (count - 1).to_string()
        } else {
            path[..first].to_string()
        };
        let mut value = lookup(&name)?;
        let mut tail = &path[first..];
        while !tail.is_empty() {
            let is_member = tail.starts_with('.');
            let end = if is_member { tail[1..].find(['.', '[']).map(|i| i + 1) } else { tail.find(']') };
            let end = end.unwrap_or(tail.len());
            value = member(&value, &tail[1..end], is_member)?;
            tail = if is_member { &tail[end..] } else { tail.get(end + 1..).unwrap_or("") };
        }
        let value = match conversion {
            "" => value,
            "s" => Value::Str(value.to_str()?),
            "r" => {
                let mut text = String::new();
                value.repr(&mut text)?;
                Value::str(text)
            }
            other => return fail(format!("conversion !{other} in a format is not supported")),
        };
        write_with(&value, spec, &mut out)?;
    }
    out.push_str(rest);
    Ok(out)
}
/// format(value, spec).
fn write_with(value: &Value, text: &str, out: &mut String) -> Res<()> {
    if text.is_empty() {
        return value.write(out);
    }
    let mut spec = parse_spec(text)?;
    match value {
        Value::Str(s) => {
            if (spec.kind != 's' && spec.kind != '\0') || spec.sign.is_some() || spec.align == Some('=') || spec.group {
                return fail(format!("format {text:?} cannot write a str"));
            }
            if spec.zero && spec.align.is_none() {
                return fail("a zero before the width of a text is not supported");
            }
            spec.align = spec.align.or(Some('<'));
            pad(&cut(s.to_string(), spec.precision), &spec, out)
        }
        Value::Int(_) | Value::Float(_) => {
            let Some(n) = Number::of(value) else { return Ok(()) };
            let n = match (n, spec.kind) {
                (Number::Int(_), '\0' | 'd' | 'x' | 'X' | 'o' | 'b') => n,
                (Number::Float(_), '\0') if spec.precision.is_none() => n,
                (_, 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => Number::Float(n.float()?),
                _ => return fail(format!("format {text:?} cannot write a {} here", value.type_name())),
            };
            if matches!(n, Number::Int(_)) && spec.precision.is_some() {
                return fail("Precision not allowed in integer format specifier");
            }
            number(n, spec, out)
        }
        other => fail(format!("format {text:?} cannot write a {} here", other.type_name())),
    }
}
fn parse_spec(text: &str) -> Res<Spec> {
    let mut spec = Spec::default();
    let all: Vec<char> = text.chars().collect();
    let mut at = 0;
    let is_align = |c: Option<&char>| c.is_some_and(|c| "<>^=".contains(*c));
    if is_align(all.get(1)) {
        spec.fill = Some(all[0]);
        at = 1;
    }
    if is_align(all.get(at)) {
        spec.align = Some(all[at]);
        at += 1;
    }
    if let Some(&c) = all.get(at).filter(|c| "+- ".contains(**c)) {
        spec.sign = Some(c).filter(|&c| c != '-');
        at += 1;
    }
    let eat = |c: char, at: &mut usize| {
        let found = all.get(*at) == Some(&c);
        *at += usize::from(found);
        found
    };
    spec.alternate = eat('#', &mut at);
    spec.zero = eat('0', &mut at);
    let digits = |at: &mut usize| {
        let begin = *at;
        while all.get(*at).is_some_and(char::is_ascii_digit) {
            *at += 1;
        }
        all[begin..*at].iter().collect::<String>().parse::<usize>().ok()
    };
    spec.width = digits(&mut at).unwrap_or(0);
    spec.group = eat(',', &mut at);
    if eat('.', &mut at) {
        spec.precision = digits(&mut at);
        if spec.precision.is_none() {
            return fail("Format specifier missing precision");
        }
    }
    spec.kind = all.get(at).copied().unwrap_or('\0');
    if all.len() > at + 1 || (spec.alternate && spec.kind != 'x') {
        return fail(format!("format {text:?} is not supported"));
    }
    Ok(spec)
}
fn cut(text: String, precision: Option<usize>) -> String {
    match precision {
        Some(n) => text.chars().take(n).collect(),
        None => text,
    }
}
fn number(n: Number, spec: Spec, out: &mut String) -> Res<()> {
    let precision = spec.precision.unwrap_or(6);
    if precision > WIDTH_MAX {
        return fail("a precision of more than 10000");
    }
    let (negative, mut body) = match n {
        Number::Int(i) => {
            let size = i.unsigned_abs();
            let prefix = if spec.alternate { spec.kind } else { '\0' };
            let body = match spec.kind {
                'x' => format!("{size:x}"),
                'X' => format!("{size:X}"),
                'o' => format!("{size:o}"),
                'b' => format!("{size:b}"),
                _ => size.to_string(),
            };
            match prefix {
                'x' if !spec.zero => (i < 0, format!("0x{body}")),
                '\0' => (i < 0, body),
                _ => return fail("'#' in this format is not supported"),
            }
        }
        Number::Float(f) => {
            if !f.is_finite() || spec.alternate {
                return fail("inf, nan or '#' in a number's format is not supported");
            }
            let body = match spec.kind {
                '\0' => text::float(f.abs()),
                'f' | 'F' => format!("{:.precision$}", f.abs()),
                '%' => format!("{:.precision$}%", f.abs() * 100.0),
                'e' | 'E' => exponent_form(f, precision),
                _ => general(f, precision.max(1)),
            };
            let upper = spec.kind.is_ascii_uppercase();
            (f.is_sign_negative(), if upper { body.to_uppercase() } else { body })
        }
    };
    if spec.group {
        let whole = body.find(|c: char| !c.is_ascii_digit()).unwrap_or(body.len());
        if spec.zero || !matches!(spec.kind, '\0' | 'd' | 'f' | '%') {
            return fail("',' in this format is not supported");
        }
        let mut grouped = String::new();
        for (i, c) in body[..whole].chars().enumerate() {
            grouped.push_str(if i > 0 && (whole - i) % 3 == 0 { "," } else { "" });
            grouped.push(c);
        }
        body = grouped + &body[whole..];
    }
    let sign = if negative { "-".into() } else { spec.sign.map_or(String::new(), String::from) };
    let zero = spec.zero && spec.align.is_none();
    if zero || spec.align == Some('=') {
        if spec.width > WIDTH_MAX {
            return fail("a width of more than 10000");
        }
        let fill = if zero { '0' } else { spec.fill.unwrap_or(' ') };
        let have = sign.len() + body.chars().count();
        out.push_str(&sign);
        out.extend(std::iter::repeat_n(fill, spec.width.saturating_sub(have)));
        out.push_str(&body);
        return Ok(());
    }
    let spec = Spec { align: spec.align.or(Some('>')), ..spec };
    pad(&(sign + &body), &spec, out)
}
fn exponent_form(f: f64, precision: usize) -> String {
    let text = format!("{:.precision$e}", f.abs());
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}
fn general(f: f64, precision: usize) -> String {
    let text = format!("{:.*e}", precision - 1, f.abs());
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = digits.replace('.', "");
    let short = digits.trim_end_matches('0');
    let short = if short.is_empty() { "0" } else { short };
    if (-4..precision as i32).contains(&exponent) {
        text::plain(short, exponent, false)
    } else {
        text::scientific(short, exponent)
    }
}
fn pad(body: &str, spec: &Spec, out: &mut String) -> Res<()> {
    if spec.width > WIDTH_MAX {
        return fail("a width of more than 10000");
    }
    let missing = spec.width.saturating_sub(body.chars().count());
    let before = match spec.align {
        Some('>') => missing,
        Some('^') => missing / 2,
        _ => 0,
    };
    let fill = spec.fill.unwrap_or(' ');
    out.extend(std::iter::repeat_n(fill, before));
    out.push_str(body);
    out.extend(std::iter::repeat_n(fill, missing - before));
    Ok(())
}
