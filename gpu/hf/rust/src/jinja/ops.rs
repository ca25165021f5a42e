// gpu/hf/rust/src/jinja/ops.rs - Python's operators on values. What cannot be done exactly is an
// error, never another result.
use super::ast::{Cmp, Op};
use super::filters_text::escaped;
use super::value::{hashable, Value};
use super::{fail, printf, Res, TEXT_BYTES_MAX};
use std::cmp::Ordering;
use std::rc::Rc;

/// A number as Python's arithmetic sees it: a bool is an integer.
#[derive(Clone, Copy)]
pub enum Number {
    Int(i128),
    Float(f64),
}
impl Number {
    pub fn of(value: &Value) -> Option<Number> {
        Some(match value {
            Value::Bool(b) => Number::Int(i128::from(*b)),
            Value::Int(i) => Number::Int(*i),
            Value::Float(f) => Number::Float(*f),
            _ => return None,
        })
    }
    pub fn float(self) -> Res<f64> {
        match self {
            Number::Float(f) => Ok(f),
            Number::Int(i) => Ok(i as f64), // rounded half to even, as Python
        }
    }
}
fn order_int_float(i: i128, f: f64) -> Option<Ordering> {
    if f.is_nan() {
        return None;
    }
    if f.abs() >= 1.7e38 {
        return Some(if f > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = f.trunc();
    Some(i.cmp(&(whole as i128)).then(if f > whole {
        Ordering::Less
    } else if f < whole {
        Ordering::Greater
    } else {
        Ordering::Equal
    }))
}
fn order_numbers(a: Number, b: Number) -> Option<Ordering> {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
        (Number::Int(i), Number::Float(f)) => order_int_float(i, f),
        (Number::Float(f), Number::Int(i)) => order_int_float(i, f).map(Ordering::reverse),
    }
}

pub fn equal(a: &Value, b: &Value) -> bool {
    if let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) {
        return order_numbers(x, y) == Some(Ordering::Equal);
    }
    if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
        return x == y;
    }
    match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Big(x), Value::Big(y)) => x == y,
        (Value::List(x), Value::List(y)) | (Value::Tuple(x), Value::Tuple(y)) => {
            x.items.len() == y.items.len() && x.items.iter().zip(&y.items).all(|(a, b)| equal(a, b))
        }
        (Value::Dict(x), Value::Dict(y)) => {
            x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| equal(v, w)))
        }
        (Value::Range(..), Value::Range(..)) => {
            let (n, m) = (a.range_len(), b.range_len());
            let (Value::Range(a0, _, a2), Value::Range(b0, _, b2)) = (a, b) else { return false };
            n == m && (n == 0 || (a0 == b0 && (n == 1 || a2 == b2)))
        }
        _ => is_same(a, b),
    }
}
/// `is` for objects; numbers and texts are not decided here.
pub fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::Object(x), Value::Object(y)) => Rc::ptr_eq(x, y),
        (Value::List(x), Value::List(y)) | (Value::Tuple(x), Value::Tuple(y)) => Rc::ptr_eq(x, y),
        (Value::Dict(x), Value::Dict(y)) => Rc::ptr_eq(x, y),
        (Value::Gen(x), Value::Gen(y)) => Rc::ptr_eq(x, y),
        _ => false,
    }
}
/// None: not ordered (nan).
pub fn order(a: &Value, b: &Value) -> Res<Option<Ordering>> {
    if let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) {
        return Ok(order_numbers(x, y));
    }
    if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
        return Ok(Some(x.as_bytes().cmp(y.as_bytes())));
    }
    match (a, b) {
        (Value::List(x), Value::List(y)) | (Value::Tuple(x), Value::Tuple(y)) => {
            for (a, b) in x.items.iter().zip(&y.items) {
                if !equal(a, b) {
                    return order(a, b);
                }
            }
            Ok(Some(x.items.len().cmp(&y.items.len())))
        }
        _ => {
            a.defined()?;
            b.defined()?;
            fail(format!("'{}' and '{}' cannot be ordered", a.type_name(), b.type_name()))
        }
    }
}
pub fn contains(holder: &Value, item: &Value) -> Res<bool> {
    Ok(match holder {
        Value::Str(text) | Value::Safe(text) => match item.as_str() {
            Some(part) => text.contains(&**part),
            None => return fail(format!("'in <string>' requires string as left operand, not {}", item.type_name())),
        },
        Value::Dict(dict) => {
            hashable(item)?;
            dict.get(item).is_some()
        }
        Value::Range(start, stop, step) => match Number::of(item) {
            Some(Number::Int(i)) => {
                let inside = if *step > 0 { *start <= i && i < *stop } else { *stop < i && i <= *start };
                inside && (i - start) % step == 0
            }
            _ => holder.iterate()?.iter().any(|v| equal(v, item)),
        },
        Value::Gen(_) => return fail("'in' would read a generator; put |list behind it"),
        other => other.iterate()?.iter().any(|v| equal(v, item)),
    })
}
pub fn compare(cmp: Cmp, a: &Value, b: &Value) -> Res<bool> {
    Ok(match cmp {
        Cmp::Eq => equal(a, b),
        Cmp::Ne => !equal(a, b),
        Cmp::In => contains(b, a)?,
        Cmp::NotIn => !contains(b, a)?,
        Cmp::Lt => order(a, b)? == Some(Ordering::Less),
        Cmp::Gt => order(a, b)? == Some(Ordering::Greater),
        Cmp::Le => order(a, b)?.is_some_and(Ordering::is_le),
        Cmp::Ge => order(a, b)?.is_some_and(Ordering::is_ge),
    })
}

fn symbol(op: Op) -> &'static str {
    match op {
        Op::Add => "+",
        Op::Sub => "-",
        Op::Mul => "*",
        Op::Div => "/",
        Op::FloorDiv => "//",
        Op::Mod => "%",
        Op::Pow => "**",
    }
}
pub fn binary(op: Op, a: &Value, b: &Value) -> Res<Value> {
    if let (Op::Mod, Value::Str(format)) = (op, a) {
        return Ok(Value::str(printf::percent(format, b)?));
    }
    a.defined()?;
    b.defined()?;
    if let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) {
        return numbers(op, x, y);
    }
    match (op, a, b) {
        (Op::Add, Value::Str(x), Value::Str(y)) => {
            let mut out = String::with_capacity(x.len() + y.len());
            out.push_str(x);
            out.push_str(y);
            return Ok(Value::str(out));
        }
        // What is not safe is escaped on the way in, and the whole is safe.
        (Op::Add, Value::Safe(_), Value::Safe(_) | Value::Str(_)) | (Op::Add, Value::Str(_), Value::Safe(_)) => {
            let part = |value: &Value| match value {
                Value::Safe(text) => text.to_string(),
                other => escaped(other.as_str().map_or("", |text| text)),
            };
            return Ok(Value::Safe((part(a) + &part(b)).into()));
        }
        (Op::Add, Value::List(x), Value::List(y)) => return Value::list([&x.items[..], &y.items].concat()),
        (Op::Add, Value::Tuple(x), Value::Tuple(y)) => return Value::tuple([&x.items[..], &y.items].concat()),
        (Op::Mul, sequence, n) | (Op::Mul, n, sequence) if is_sequence(sequence) => {
            if let Some(Number::Int(times)) = Number::of(n) {
                return repeat(sequence, times.max(0));
            }
        }
        _ => (),
    }
    if matches!(a, Value::Safe(_)) || matches!(b, Value::Safe(_)) {
        return fail(format!("'{}' on a text made by |safe or |escape is not supported", symbol(op)));
    }
    if matches!(a, Value::Big(_)) || matches!(b, Value::Big(_)) {
        return fail("calculating with an integer of more than 38 digits is not supported");
    }
    let (left, right) = (a.type_name(), b.type_name());
    fail(format!("unsupported operand types for {}: '{left}' and '{right}'", symbol(op)))
}
fn is_sequence(value: &Value) -> bool {
    matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_))
}
fn repeat(sequence: &Value, times: i128) -> Res<Value> {
    let size = match sequence {
        Value::Str(s) => s.len(),
        Value::List(items) | Value::Tuple(items) => items.items.len() * 32,
        _ => 0,
    };
    if size as i128 * times > TEXT_BYTES_MAX as i128 {
        return fail("a repetition becomes too large");
    }
    let times = if size == 0 { 0 } else { times as usize };
    match sequence {
        Value::Str(s) => Ok(Value::str(s.repeat(times))),
        Value::List(items) => Value::list(repeated(&items.items, times)),
        Value::Tuple(items) => Value::tuple(repeated(&items.items, times)),
        _ => fail("not a sequence"),
    }
}
fn repeated(items: &[Value], times: usize) -> Vec<Value> {
    std::iter::repeat_n(items, times).flatten().cloned().collect()
}
fn numbers(op: Op, a: Number, b: Number) -> Res<Value> {
    let large = || format!("the result of '{}' has more than 38 digits", symbol(op));
    if let (Number::Int(x), Number::Int(y)) = (a, b) {
        let value = match op {
            Op::Add => x.checked_add(y),
            Op::Sub => x.checked_sub(y),
            Op::Mul => x.checked_mul(y),
            Op::Div => return int_division(x, y),
            Op::FloorDiv | Op::Mod => {
                if y == 0 {
                    return fail("integer division or modulo by zero");
                }
                let rest = x.checked_rem(y).ok_or_else(large)?;
                let adjust = rest != 0 && (rest < 0) != (y < 0);
                match op {
                    Op::Mod => Some(if adjust { rest + y } else { rest }),
                    _ => x.checked_div(y).map(|q| q - i128::from(adjust)),
                }
            }
            Op::Pow if y >= 0 => match x {
                0 | 1 => Some(if y == 0 { 1 } else { x }),
                -1 => Some(if y % 2 == 0 { 1 } else { -1 }),
                _ => u32::try_from(y).ok().and_then(|y| x.checked_pow(y)),
            },
            Op::Pow => return float_power(x as f64, y as f64),
        };
        return Ok(Value::Int(value.ok_or_else(large)?));
    }
    let (x, y) = (a.float()?, b.float()?);
    if y == 0.0 && matches!(op, Op::Div | Op::FloorDiv | Op::Mod) {
        return fail("float division by zero");
    }
    Ok(Value::Float(match op {
        Op::Add => x + y,
        Op::Sub => x - y,
        Op::Mul => x * y,
        Op::Div => x / y,
        Op::FloorDiv => divmod(x, y).0,
        Op::Mod => divmod(x, y).1,
        Op::Pow => return float_power(x, y),
    }))
}
fn int_division(x: i128, y: i128) -> Res<Value> {
    if y == 0 {
        return fail("division by zero");
    }
    // Rounded once, as Python does, where both are floats without rounding.
    if (x as f64) as i128 != x || (y as f64) as i128 != y {
        return fail("dividing these large integers is not supported");
    }
    Ok(Value::Float(x as f64 / y as f64))
}
/// float's // and %, as CPython calculates them.
fn divmod(x: f64, y: f64) -> (f64, f64) {
    let mut rest = x % y;
    let mut quotient = (x - rest) / y;
    if rest != 0.0 {
        if (y < 0.0) != (rest < 0.0) {
            rest += y;
            quotient -= 1.0;
        }
    } else {
        rest = 0.0f64.copysign(y);
    }
    let floor = if quotient != 0.0 {
        let floor = quotient.floor();
        if quotient - floor > 0.5 { floor + 1.0 } else { floor }
    } else {
        0.0f64.copysign(x / y)
    };
    (floor, rest)
}
fn float_power(x: f64, y: f64) -> Res<Value> {
    if x == 0.0 && y < 0.0 {
        return fail("0.0 cannot be raised to a negative power");
    }
    if x < 0.0 && y != y.trunc() && x.is_finite() {
        return fail("the power of a negative number by a fraction is complex");
    }
    let value = x.powf(y);
    if value.is_infinite() && x.is_finite() && y.is_finite() {
        return fail("the result of '**' is out of range");
    }
    Ok(Value::Float(value))
}
pub fn negative(value: &Value) -> Res<Value> {
    match Number::of(value.defined()?) {
        Some(Number::Int(i)) => i.checked_neg().map(Value::Int).ok_or_else(|| "out of range".into()),
        Some(Number::Float(f)) => Ok(Value::Float(-f)),
        None => fail(format!("bad operand type for unary -: '{}'", value.type_name())),
    }
}
pub fn positive(value: &Value) -> Res<Value> {
    match Number::of(value.defined()?) {
        Some(Number::Int(i)) => Ok(Value::Int(i)),
        Some(Number::Float(f)) => Ok(Value::Float(f)),
        None => fail(format!("bad operand type for unary +: '{}'", value.type_name())),
    }
}

/// value[index] of sequences and mappings; None: an IndexError, KeyError or TypeError.
pub fn index(value: &Value, at: &Value) -> Res<Option<Value>> {
    let place = |size: usize| -> Option<usize> {
        let Some(Number::Int(i)) = Number::of(at) else { return None };
        let i = if i < 0 { i + size as i128 } else { i };
        usize::try_from(i).ok().filter(|&i| i < size)
    };
    Ok(match value {
        Value::Undefined(_) => {
            value.defined()?;
            None
        }
        Value::Dict(dict) if hashable(at).is_ok() => dict.get(at).cloned(),
        Value::List(items) | Value::Tuple(items) if !matches!(at, Value::Float(_)) => {
            place(items.items.len()).map(|i| items.items[i].clone())
        }
        Value::Str(s) if !matches!(at, Value::Float(_)) => {
            place(s.chars().count()).and_then(|i| s.chars().nth(i)).map(|c| Value::str(c.to_string()))
        }
        Value::Safe(_) => return fail("a part of a text made by |safe or |escape is not supported"),
        Value::Range(start, _, step) if !matches!(at, Value::Float(_)) => {
            place(value.range_len() as usize).map(|i| Value::Int(start + i as i128 * step))
        }
        _ => None,
    })
}
/// value[start:stop:step].
pub fn slice(value: &Value, parts: [Option<Value>; 3]) -> Res<Value> {
    value.defined()?;
    let mut numbers = [None; 3];
    for (number, part) in numbers.iter_mut().zip(&parts) {
        *number = match part {
            None | Some(Value::None) => None,
            Some(v) => match Number::of(v.defined()?) {
                Some(Number::Int(i)) => Some(i),
                _ => return fail("slice indices must be integers or None"),
            },
        };
    }
    let size = match value {
        Value::Str(_) | Value::List(_) | Value::Tuple(_) => value.len().unwrap_or(0) as i128,
        other => return fail(format!("'{}' object cannot be sliced", other.type_name())),
    };
    let step = numbers[2].unwrap_or(1);
    if step == 0 {
        return fail("slice step cannot be zero");
    }
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let clamp = |n: i128| (if n < 0 { n.saturating_add(size) } else { n }).clamp(low, high);
    let start = numbers[0].map_or(if step > 0 { low } else { high }, clamp);
    let stop = numbers[1].map_or(if step > 0 { high } else { low }, clamp);
    let mut places = Vec::new();
    let mut at = start;
    while if step > 0 { at < stop } else { at > stop } {
        places.push(at as usize);
        at = at.saturating_add(step);
    }
    match value {
        Value::Str(s) if step == 1 => {
            let n = places.len();
            Ok(Value::str(s.chars().skip(start as usize).take(n).collect::<String>()))
        }
        Value::Str(s) => {
            let all: Vec<char> = s.chars().collect();
            Ok(Value::str(places.into_iter().map(|i| all[i]).collect::<String>()))
        }
        Value::List(items) => Value::list(places.into_iter().map(|i| items.items[i].clone()).collect()),
        Value::Tuple(items) => Value::tuple(places.into_iter().map(|i| items.items[i].clone()).collect()),
        _ => fail("not a sequence"),
    }
}
