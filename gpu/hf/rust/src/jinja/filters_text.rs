// gpu/hf/rust/src/jinja/filters_text.rs - str's methods, and the filters that make text of text.
use super::arguments::{int, text as text_of, Args};
use super::methods::{justified, stripped, titled};
use super::text::{self, is_space};
use super::value::Value;
use super::{fail, Res, TEXT_BYTES_MAX};

/// A method of a str, whose name is known.
pub fn method(body: &str, name: &str, args: Args) -> Res<Value> {
    if ["split", "rsplit", "splitlines", "expandtabs"].contains(&name) {
        return with_names(body, name, args);
    }
    let values = args.positional(name)?;
    let text_at = |i: usize| match values.get(i) {
        Some(v) => text_of(v, name),
        None => fail(format!("{name} is missing an argument")),
    };
    let exactly = |n: std::ops::RangeInclusive<usize>| match n.contains(&values.len()) {
        true => Ok(()),
        false => fail(format!("{name}: {} arguments", values.len())),
    };
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            exactly(0..=1)?;
            Value::str(stripped(body, name, values.first())?)
        }
        "center" | "ljust" | "rjust" => {
            exactly(1..=2)?;
            Value::str(justified(body, name, &values[0], values.get(1))?)
        }
        "startswith" | "endswith" => affix(body, name, &values)?,
        "find" | "rfind" | "index" | "rindex" | "count" => found(body, name, &values)?,
        "removeprefix" => {
            exactly(1..=1)?;
            Value::str(body.strip_prefix(&*text_at(0)?).unwrap_or(body))
        }
        "removesuffix" => {
            exactly(1..=1)?;
            Value::str(body.strip_suffix(&*text_at(0)?).unwrap_or(body))
        }
        "partition" | "rpartition" => {
            exactly(1..=1)?;
            let separator = text_at(0)?;
            if separator.is_empty() {
                return fail("empty separator");
            }
            let is_first = name == "partition";
            let at = if is_first { body.find(&*separator) } else { body.rfind(&*separator) };
            let parts = match at {
                Some(i) => [&body[..i], &separator, &body[i + separator.len()..]],
                None if is_first => [body, "", ""],
                None => ["", "", body],
            };
            Value::tuple(parts.into_iter().map(Value::str).collect())?
        }
        "replace" => {
            exactly(2..=3)?;
            let times = values.get(2).map(|v| int(v, name)).transpose()?;
            Value::str(replaced(body, &text_at(0)?, &text_at(1)?, times)?)
        }
        "join" => {
            exactly(1..=1)?;
            let items = values[0].defined()?.iterate()?;
            let texts = items.iter().map(|v| text_of(v, name)).collect::<Res<Vec<_>>>()?;
            Value::str(texts.join(body))
        }
        "zfill" => {
            exactly(1..=1)?;
            let (sign, digits) = match body.strip_prefix(['-', '+']) {
                Some(rest) => (&body[..1], rest),
                None => ("", body),
            };
            let width = int(&values[0], name)? - sign.len() as i128;
            Value::str(format!("{sign}{}", justified(digits, "rjust", &Value::Int(width), Some(&Value::str("0")))?))
        }
        _ => {
            exactly(0..=0)?;
            return without_arguments(body, name);
        }
    })
}
fn without_arguments(body: &str, name: &str) -> Res<Value> {
    let all = |test: &dyn Fn(char) -> Res<bool>| -> Res<Value> {
        for c in body.chars() {
            if !test(c)? {
                return Ok(Value::Bool(false));
            }
        }
        Ok(Value::Bool(!body.is_empty()))
    };
    match name {
        "lower" => Ok(Value::str(body.to_lowercase())),
        "upper" => Ok(Value::str(body.to_uppercase())),
        "capitalize" => Ok(Value::str(text::capitalize(body)?)),
        "title" => Ok(Value::str(titled(body)?)),
        "swapcase" if body.is_ascii() => {
            let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            Ok(Value::str(body.chars().map(swap).collect::<String>()))
        }
        "isascii" => Ok(Value::Bool(body.is_ascii())),
        "isspace" => all(&|c| Ok(is_space(c))),
        "isalpha" => all(&text::is_alpha),
        "isalnum" => all(&text::is_alnum),
        "isdecimal" | "isdigit" | "isnumeric" => all(&text::is_digit),
        "islower" => Ok(Value::Bool(is_cased(body, false))),
        "isupper" => Ok(Value::Bool(is_cased(body, true))),
        _ => fail(format!("str.{name} of this text is not supported")),
    }
}
pub fn is_cased(body: &str, upper: bool) -> bool {
    let good = |c: char| if upper { c.is_uppercase() } else { c.is_lowercase() };
    let bad = |c: char| if upper { c.is_lowercase() } else { c.is_uppercase() };
    body.chars().any(good) && !body.chars().any(bad)
}
/// The part of body between optional character indices.
fn part<'t>(body: &'t str, name: &str, values: &[Value]) -> Res<(usize, &'t str)> {
    if values.len() > 3 || values.is_empty() {
        return fail(format!("{name}: {} arguments", values.len()));
    }
    let size = body.chars().count() as i128;
    let at = |i: usize, default: i128| match values.get(i) {
        None | Some(Value::None) => Ok(default),
        Some(v) => int(v, name).map(|n| if n < 0 { (n + size).max(0) } else { n }),
    };
    let (start, end) = (at(1, 0)?, at(2, size)?.min(size));
    if start > size || start > end {
        return fail(format!("{name} in a part that does not exist is not supported"));
    }
    let byte = |n: i128| body.char_indices().nth(n as usize).map_or(body.len(), |(i, _)| i);
    Ok((start as usize, &body[byte(start)..byte(end)]))
}
fn affix(body: &str, name: &str, values: &[Value]) -> Res<Value> {
    let (_, body) = part(body, name, values)?;
    let one = |v: &Value| {
        let affix = text_of(v, name)?;
        Ok(if name == "startswith" { body.starts_with(&*affix) } else { body.ends_with(&*affix) })
    };
    Ok(Value::Bool(match &values[0] {
        Value::Tuple(items) => items.items.iter().map(one).collect::<Res<Vec<_>>>()?.contains(&true),
        other => one(other)?,
    }))
}
fn found(body: &str, name: &str, values: &[Value]) -> Res<Value> {
    let (before, body) = part(body, name, values)?;
    let wanted = text_of(&values[0], name)?;
    if name == "count" {
        let count = if wanted.is_empty() { body.chars().count() + 1 } else { body.matches(&*wanted).count() };
        return Ok(Value::Int(count as i128));
    }
    let at = if name.starts_with('r') { body.rfind(&*wanted) } else { body.find(&*wanted) };
    match at {
        Some(i) => Ok(Value::Int((before + body[..i].chars().count()) as i128)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => fail("substring not found"),
    }
}
/// str.replace; a negative count is all.
pub fn replaced(body: &str, old: &str, new: &str, count: Option<i128>) -> Res<String> {
    let all = body.len() + 1;
    let times = count.filter(|n| *n >= 0).map_or(all, |n| n.min(all as i128) as usize);
    if times.min(body.len() / old.len().max(1) + 1).saturating_mul(new.len()) > TEXT_BYTES_MAX {
        return fail("a replacement becomes too large");
    }
    Ok(body.replacen(old, new, times))
}
fn with_names(body: &str, name: &str, args: Args) -> Res<Value> {
    if name == "splitlines" {
        let [keep] = args.bind(name, ["keepends"])?;
        let keep = keep.is_some_and(|v| v.truth());
        return Value::list(text::lines(body, keep).into_iter().map(Value::str).collect());
    }
    if name == "expandtabs" {
        return fail("str.expandtabs is not supported");
    }
    let [separator, most] = args.bind(name, ["sep", "maxsplit"])?;
    let most = most.map_or(Ok(-1), |v| int(&v, name))?;
    let most = if most < 0 { usize::MAX - 1 } else { most.min(1 << 62) as usize };
    let from_right = name == "rsplit";
    let parts: Vec<&str> = match separator {
        None | Some(Value::None) => by_spaces(body, most, from_right),
        Some(v) => {
            let separator = text_of(&v, name)?;
            if separator.is_empty() {
                return fail("empty separator");
            }
            if from_right {
                let mut parts: Vec<&str> = body.rsplitn(most + 1, &*separator).collect();
                parts.reverse();
                parts
            } else {
                body.splitn(most + 1, &*separator).collect()
            }
        }
    };
    Value::list(parts.into_iter().map(Value::str).collect())
}
fn by_spaces(body: &str, most: usize, from_right: bool) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = body;
    loop {
        rest = if from_right { rest.trim_end_matches(is_space) } else { rest.trim_start_matches(is_space) };
        if rest.is_empty() {
            break;
        }
        if out.len() == most {
            out.push(if from_right { rest.trim_end_matches(is_space) } else { rest });
            break;
        }
        let cut = if from_right { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(i) = cut else {
            out.push(rest);
            break;
        };
        let after = i + rest[i..].chars().next().map_or(0, char::len_utf8);
        let (word, left) = if from_right { (&rest[after..], &rest[..i]) } else { (&rest[..i], &rest[after..]) };
        out.push(word);
        rest = left;
    }
    if from_right {
        out.reverse();
    }
    out
}

/// Jinja2's title: words begin behind blanks, hyphens and opening brackets.
pub fn title_filter(body: &str) -> Res<String> {
    let is_border = |c: char| "-({[<".contains(c) || is_space(c);
    let mut out = String::new();
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let same = |c: char| is_border(c) == is_border(first);
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let upper: String = first.to_uppercase().collect();
        out.push_str(&upper);
        out.push_str(&rest[first.len_utf8()..end].to_lowercase());
        rest = &rest[end..];
    }
    Ok(out)
}
pub fn word_count(body: &str) -> Res<i128> {
    let (mut count, mut in_word) = (0, false);
    for c in body.chars() {
        let is_word = c == '_' || text::is_alnum(c)?;
        count += i128::from(is_word && !in_word);
        in_word = is_word;
    }
    Ok(count)
}
pub fn indented(body: &str, args: Args) -> Res<Value> {
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"])?;
    let indention = match &width {
        None => "    ".to_string(),
        Some(Value::Str(s)) => s.to_string(),
        Some(v) => " ".repeat(int(v, "indent")?.clamp(0, 10_000) as usize),
    };
    let with_end = format!("{body}\n");
    let lines = text::lines(&with_end, false);
    let with_blank = blank.is_some_and(|v| v.truth());
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let indents = if i == 0 { first.as_ref().is_some_and(Value::truth) } else { with_blank || !line.is_empty() };
        out.push_str(if indents { &indention } else { "" });
        out.push_str(line);
    }
    Ok(Value::str(out))
}
pub fn truncated(value: &Value, args: Args) -> Res<Value> {
    let [length, kill, end, leeway] = args.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let body = text_of(value, "truncate")?;
    let length = length.map_or(Ok(255), |v| int(&v, "truncate"))?;
    let end = end.map_or_else(|| Ok("...".into()), |v| text_of(&v, "truncate"))?;
    let leeway = match leeway {
        None | Some(Value::None) => 5,
        Some(v) => int(&v, "truncate")?,
    };
    let end_size = end.chars().count() as i128;
    if length < end_size || leeway < 0 {
        return fail(format!("truncate: expected length >= {end_size} and leeway >= 0"));
    }
    if body.chars().count() as i128 <= length + leeway {
        return Ok(value.clone());
    }
    let kept: String = body.chars().take((length - end_size) as usize).collect();
    let whole = if kill.is_some_and(|v| v.truth()) { &kept } else { kept.rfind(' ').map_or(&kept[..], |i| &kept[..i]) };
    Ok(Value::str(format!("{whole}{end}")))
}
pub fn quoted(value: &Value, for_query: bool) -> Res<String> {
    let mut out = String::new();
    for b in value.to_str()?.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(b as char),
            b'/' if !for_query => out.push('/'),
            b' ' if for_query => out.push('+'),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    Ok(out)
}
pub fn url_encoded(value: &Value) -> Res<Value> {
    let pairs = match value {
        Value::Str(_) | Value::Safe(_) => return Ok(Value::str(quoted(value, false)?)),
        Value::Dict(dict) => Value::View(super::value::View::Items, dict.clone()).iterate()?,
        other if other.is_iterable() => other.iterate()?,
        other => return Ok(Value::str(quoted(other, false)?)),
    };
    let mut parts = Vec::new();
    for pair in pairs {
        match &pair.iterate()?[..] {
            [key, value] => parts.push(format!("{}={}", quoted(key, true)?, quoted(value, true)?)),
            _ => return fail("urlencode: a pair must have two members"),
        }
    }
    Ok(Value::str(parts.join("&")))
}
pub fn escaped(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    for c in body.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}
pub fn file_size(value: &Value, binary: bool) -> Res<String> {
    let bytes = match (super::ops::Number::of(value), value.as_str()) {
        (Some(n), _) => n.float()?,
        (None, Some(s)) => text::parse_float(s).ok_or("filesizeformat: not a number")?,
        _ => return fail("filesizeformat: not a number"),
    };
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok("1 Byte".into());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", bytes.trunc() as i128));
    }
    let mut unit = base * base;
    let units = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    for (i, prefix) in units.iter().enumerate() {
        if bytes < unit || i + 1 == units.len() {
            let prefix = if binary { prefix.to_uppercase() + "iB" } else { format!("{prefix}B") };
            return Ok(format!("{:.1} {prefix}", base * bytes / unit));
        }
        unit *= base;
    }
    fail("filesizeformat: not a number")
}
