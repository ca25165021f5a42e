// gpu/hf/rust/src/jinja/text.rs - Python's text: what is a space, a letter, a line; repr and float.
use super::{fail, Res};

pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
/// str.splitlines.
pub fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut out = Vec::new();
    let mut begin = 0;
    let mut at = text.char_indices().peekable();
    while let Some((i, c)) = at.next() {
        if !is_line_end(c) {
            continue;
        }
        let mut end = i + c.len_utf8();
        if c == '\r' && text[end..].starts_with('\n') {
            at.next();
            end += 1;
        }
        out.push(&text[begin..if keep_ends { end } else { i }]);
        begin = end;
    }
    if begin < text.len() {
        out.push(&text[begin..]);
    }
    out
}

/// Letters of scripts without case; Rust's "alphabetic" also holds marks and symbols, which
/// Python's isalpha refuses.
fn is_uncased_letter(c: char) -> bool {
    matches!(c, '\u{aa}' | '\u{ba}' | '\u{5d0}'..='\u{5ea}' | '\u{620}'..='\u{64a}' | '\u{904}'..='\u{939}'
        | '\u{e01}'..='\u{e30}' | '\u{1100}'..='\u{1248}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}
pub fn is_alpha(c: char) -> Res<bool> {
    if c.is_ascii() || !c.is_alphabetic() {
        return Ok(c.is_ascii_alphabetic());
    }
    let circled = matches!(c, '\u{2160}'..='\u{2188}' | '\u{24b6}'..='\u{24e9}' | '\u{345}' | '\u{1f130}'..='\u{1f189}');
    if !circled && (c.is_lowercase() || c.is_uppercase() || is_uncased_letter(c)) {
        return Ok(true);
    }
    fail(format!("whether {c:?} is a letter is not known here"))
}
pub fn is_alnum(c: char) -> Res<bool> {
    if c.is_ascii() {
        return Ok(c.is_ascii_alphanumeric());
    }
    if c.is_alphabetic() { is_alpha(c) } else { Ok(c.is_numeric()) }
}
/// One of Python's is..() tests of digits, which part ways outside of ASCII.
pub fn is_digit(c: char) -> Res<bool> {
    if c.is_ascii() || (!c.is_numeric() && !is_uncased_letter(c)) {
        return Ok(c.is_ascii_digit());
    }
    fail(format!("whether {c:?} is a digit is not known here"))
}
/// The first character as str.title and str.capitalize write it.
pub fn title_case(c: char, out: &mut String) -> Res<()> {
    let has_title_case = matches!(c, '\u{1c4}'..='\u{1cc}' | '\u{1f1}'..='\u{1f3}' | '\u{1f80}'..='\u{1fff}' | '\u{10d0}'..='\u{10ff}');
    let upper = c.to_uppercase();
    if has_title_case || upper.len() > 1 {
        return fail(format!("the title case of {c:?} is not known here"));
    }
    out.extend(upper);
    Ok(())
}
/// str.capitalize.
pub fn capitalize(text: &str) -> Res<String> {
    let mut out = String::with_capacity(text.len());
    let mut at = text.chars();
    if let Some(first) = at.next() {
        title_case(first, &mut out)?;
        // A final sigma looks at what stands before it.
        let lower = text.to_lowercase();
        let skip: usize = first.to_lowercase().map(char::len_utf8).sum();
        out.push_str(&lower[skip..]);
    }
    Ok(out)
}

/// repr of a str.
pub fn repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c if is_printable(c) => out.push(c),
            c => match c as u32 {
                n @ 0..=0xff => out.push_str(&format!("\\x{n:02x}")),
                n @ 0..=0xffff => out.push_str(&format!("\\u{n:04x}")),
                n => out.push_str(&format!("\\U{n:08x}")),
            },
        }
    }
    out.push(quote);
}
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // Behind the first character escape_debug escapes by the very same categories as Python.
    let mut text = String::from("a");
    text.push(c);
    text.escape_debug().nth(1) == Some(c)
}

/// The shortest digits that give the number back, and the exponent of the first one.
pub fn shortest(value: f64) -> (String, i32) {
    let text = format!("{:e}", value.abs());
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.replace('.', ""), exponent.parse().unwrap_or(0))
}
/// repr of a float.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}inf");
    }
    let (digits, exponent) = shortest(value);
    if (-4..16).contains(&exponent) {
        return format!("{sign}{}", plain(&digits, exponent, true));
    }
    format!("{sign}{}", scientific(&digits, exponent))
}
/// Digits with the first of weight 10^exponent, without an exponent.
pub fn plain(digits: &str, exponent: i32, with_fraction: bool) -> String {
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        let zeros = "0".repeat(whole - digits.len());
        return format!("{digits}{zeros}{}", if with_fraction { ".0" } else { "" });
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}
pub fn scientific(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.abs())
}
/// float() of a text.
pub fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(is_space);
    let bytes = text.as_bytes();
    for (i, b) in bytes.iter().enumerate() {
        let by_digits = i > 0 && bytes[i - 1].is_ascii_digit() && bytes.get(i + 1).is_some_and(u8::is_ascii_digit);
        if *b == b'_' && !by_digits {
            return None;
        }
    }
    text.replace('_', "").parse().ok() // inf, infinity and nan in any case, too
}
/// int() of a text; None: a ValueError.
pub fn parse_int(text: &str, base: i128) -> Res<Option<i128>> {
    let text = text.trim_matches(is_space);
    if !text.is_ascii() && text.chars().any(|c| c.is_numeric()) {
        return fail(format!("int: {text:?} has digits that are not ASCII"));
    }
    let (negative, body) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = body.to_ascii_lowercase();
    let prefix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(p, _)| lower.starts_with(p));
    let (radix, digits) = match (base, prefix) {
        (0, Some((_, radix))) => (radix, &lower[2..]),
        (16, Some((_, 16))) | (8, Some((_, 8))) | (2, Some((_, 2))) => (base as u32, &lower[2..]),
        (0, None) => (10, lower.as_str()),
        (2..=36, _) => (base as u32, lower.as_str()),
        _ => return fail("int: the base must be 0 or 2 to 36"),
    };
    let digits = if digits.len() < lower.len() { digits.strip_prefix('_').unwrap_or(digits) } else { digits };
    let ok = !digits.is_empty() && !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    let clean = digits.replace('_', "");
    if !ok || !clean.chars().all(|c| c.is_digit(radix)) {
        return Ok(None);
    }
    if base == 0 && prefix.is_none() && clean.starts_with('0') && !clean.trim_matches('0').is_empty() {
        return Ok(None);
    }
    match i128::from_str_radix(&clean, radix) {
        Ok(value) => Ok(Some(if negative { -value } else { value })),
        Err(_) => fail("int: more than 38 digits are not supported"),
    }
}
