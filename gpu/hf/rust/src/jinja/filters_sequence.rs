// gpu/hf/rust/src/jinja/filters_sequence.rs - the filters over sequences.
use super::arguments::{int, required, text as text_of, Args};
use super::eval::Render;
use super::value::{hashable, Dict, Value};
use super::{fail, filters, methods, ops, tests, Res};
use std::cmp::Ordering;

/// A path like "a.0.b" into every item; None: the item itself.
struct Getter {
    parts: Vec<Value>,
    folds_case: bool,
    default: Option<Value>,
}
impl Getter {
    fn new(attribute: Option<&Value>, folds_case: bool, default: Option<Value>) -> Res<Getter> {
        let parts = match attribute {
            None | Some(Value::None) => Vec::new(),
            Some(Value::Str(path)) => path
                .split('.')
                .map(|part| match part.parse::<i128>() {
                    Ok(i) if part.bytes().all(|b| b.is_ascii_digit()) => Value::Int(i),
                    _ => Value::str(part),
                })
                .collect(),
            Some(other) => vec![other.clone()],
        };
        Ok(Getter { parts, folds_case, default })
    }
    fn get(&self, item: &Value) -> Res<Value> {
        let mut value = item.clone();
        for part in &self.parts {
            value = methods::item(&value, part)?;
            if let (Some(default), true) = (&self.default, value.is_undefined()) {
                value = default.clone();
            }
        }
        Ok(match value {
            Value::Str(s) if self.folds_case => Value::str(s.to_lowercase()),
            other => other,
        })
    }
}
/// bare: the keys are compared as they are, not as Python's lists of them, which look for equality
/// first.
fn sorted(mut items: Vec<(Vec<Value>, Value)>, reverse: bool, bare: bool) -> Res<Vec<Value>> {
    let mut wrong = None;
    let mut order = |a: &Value, b: &Value| match ops::order(a, b) {
        Ok(Some(order)) => order,
        Ok(None) => {
            wrong = Some("sorting nan is not supported".to_string());
            Ordering::Equal
        }
        Err(why) => {
            wrong = Some(why);
            Ordering::Equal
        }
    };
    items.sort_by(|(a, _), (b, _)| {
        let pairs = a.iter().zip(b).find(|(x, y)| bare || !ops::equal(x, y));
        let order = pairs.map_or(Ordering::Equal, |(x, y)| order(x, y));
        if reverse { order.reverse() } else { order }
    });
    match wrong {
        Some(why) => fail(why),
        None => Ok(items.into_iter().map(|(_, item)| item).collect()),
    }
}
pub fn sort(value: &Value, args: Args) -> Res<Value> {
    let [reverse, sensitive, attribute] = args.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
    let folds = !sensitive.is_some_and(|v| v.truth());
    let getters = match &attribute {
        Some(Value::Str(paths)) => {
            paths.split(',').map(|path| Getter::new(Some(&Value::str(path)), folds, None)).collect::<Res<Vec<_>>>()?
        }
        other => vec![Getter::new(other.as_ref(), folds, None)?],
    };
    let keyed = value.iterate()?.into_iter().map(|item| {
        let keys = getters.iter().map(|g| g.get(&item)).collect::<Res<Vec<_>>>()?;
        Ok((keys, item))
    });
    Value::list(sorted(keyed.collect::<Res<_>>()?, reverse.is_some_and(|v| v.truth()), false)?)
}
pub fn dictsort(value: &Value, args: Args) -> Res<Value> {
    let [sensitive, by, reverse] = args.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let Value::Dict(dict) = value.defined()? else { return fail("dictsort needs a dict") };
    let place = match by.as_ref().map_or("key", |v| v.as_str().map_or("", |s| s)) {
        "key" => 0,
        "value" => 1,
        _ => return fail("You can only sort by either \"key\" or \"value\""),
    };
    let getter = Getter::new(Some(&Value::Int(place)), !sensitive.is_some_and(|v| v.truth()), None)?;
    let keyed = dict.iter().map(|(k, v)| {
        let pair = Value::tuple(vec![k.clone(), v.clone()])?;
        Ok((vec![getter.get(&pair)?], pair))
    });
    Value::list(sorted(keyed.collect::<Res<_>>()?, reverse.is_some_and(|v| v.truth()), true)?)
}
pub fn unique(value: &Value, args: Args) -> Res<Value> {
    let [sensitive, attribute] = args.bind("unique", ["case_sensitive", "attribute"])?;
    let getter = Getter::new(attribute.as_ref(), !sensitive.is_some_and(|v| v.truth()), None)?;
    let mut seen = Dict::default();
    let mut out = Vec::new();
    for item in value.iterate()? {
        let key = getter.get(&item)?;
        hashable(&key)?;
        if seen.get(&key).is_none() {
            seen.insert(key, Value::None)?;
            out.push(item);
        }
    }
    Ok(Value::generator(out))
}
pub fn extreme(value: &Value, name: &'static str, args: Args) -> Res<Value> {
    let [sensitive, attribute] = args.bind(name, ["case_sensitive", "attribute"])?;
    let getter = Getter::new(attribute.as_ref(), !sensitive.is_some_and(|v| v.truth()), None)?;
    let mut best: Option<(Value, Value)> = None;
    for item in value.iterate()? {
        let key = getter.get(&item)?;
        let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
        let better = match &best {
            Some((_, old)) => ops::order(&key, old)? == Some(wanted),
            None => true,
        };
        if better {
            best = Some((item, key));
        }
    }
    Ok(best.map_or_else(|| Value::undefined("No aggregated item, sequence was empty."), |(item, _)| item))
}
pub fn group_by(value: &Value, args: Args) -> Res<Value> {
    let [attribute, default, sensitive] = args.bind("groupby", ["attribute", "default", "case_sensitive"])?;
    let attribute = required(attribute, "groupby", "attribute")?;
    let default = default.filter(|v| !matches!(v, Value::None));
    let folds = !sensitive.is_some_and(|v| v.truth());
    let getter = Getter::new(Some(&attribute), folds, default.clone())?;
    let plain = Getter::new(Some(&attribute), false, default)?;
    let keyed = value.iterate()?.into_iter().map(|item| Ok((vec![getter.get(&item)?], item)));
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for item in sorted(keyed.collect::<Res<_>>()?, false, true)? {
        let key = getter.get(&item)?;
        match groups.last_mut() {
            Some((last, items)) if ops::equal(last, &key) => items.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let made = groups.into_iter().map(|(key, items)| {
        let key = if folds { plain.get(&items[0])? } else { key };
        Value::group(key, items)
    });
    Value::list(made.collect::<Res<_>>()?)
}
pub fn sum(value: &Value, args: Args) -> Res<Value> {
    let [attribute, start] = args.bind("sum", ["attribute", "start"])?;
    let getter = Getter::new(attribute.as_ref(), false, None)?;
    let mut total = start.unwrap_or(Value::Int(0));
    if matches!(total, Value::Str(_)) {
        return fail("sum() can't sum strings");
    }
    let items = value.iterate()?;
    for item in items {
        total = ops::binary(super::ast::Op::Add, &total, &getter.get(&item)?)?;
    }
    Ok(total)
}
pub fn join(value: &Value, args: Args) -> Res<Value> {
    let [separator, attribute] = args.bind("join", ["d", "attribute"])?;
    let separator = separator.map_or_else(|| Ok("".into()), |v| v.to_str())?;
    let getter = Getter::new(attribute.as_ref(), false, None)?;
    let mut out = String::new();
    for (i, item) in value.iterate()?.iter().enumerate() {
        if i > 0 {
            out.push_str(&separator);
        }
        getter.get(item)?.write(&mut out)?;
    }
    Ok(Value::str(out))
}
pub fn batch(value: &Value, args: Args) -> Res<Value> {
    let [count, fill] = args.bind("batch", ["linecount", "fill_with"])?;
    let count = int(&required(count, "batch", "linecount")?, "batch")?;
    let items = value.iterate()?;
    if count < 1 {
        return fail("batch: linecount must be at least 1");
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut out: Vec<Vec<Value>> = items.chunks(count).map(<[Value]>::to_vec).collect();
    if let (Some(fill), Some(last)) = (fill.filter(|v| !matches!(v, Value::None)), out.last_mut()) {
        if count > 1 << 20 {
            return fail("batch: a fill of more than 2**20");
        }
        last.resize(count.max(last.len()), fill);
    }
    Ok(Value::generator(out.into_iter().map(Value::list).collect::<Res<Vec<_>>>()?))
}
pub fn slice(value: &Value, args: Args) -> Res<Value> {
    let [slices, fill] = args.bind("slice", ["slices", "fill_with"])?;
    let slices = int(&required(slices, "slice", "slices")?, "slice")?;
    let items = value.iterate()?;
    if !(1..=1 << 20).contains(&slices) {
        return fail("slice: slices must be 1 to 2**20");
    }
    let slices = slices as usize;
    let (each, extra) = (items.len() / slices, items.len() % slices);
    let fill = fill.filter(|v| !matches!(v, Value::None));
    let mut out = Vec::new();
    let mut begin = 0;
    for i in 0..slices {
        let end = begin + each + usize::from(i < extra);
        let mut part = items[begin..end].to_vec();
        part.extend(fill.iter().filter(|_| i >= extra).cloned());
        out.push(Value::list(part)?);
        begin = end;
    }
    Ok(Value::generator(out))
}
pub fn map(render: &mut Render, value: &Value, mut args: Args) -> Res<Value> {
    let is_attribute = args.plain.is_empty() && args.named.iter().any(|(n, _)| **n == *"attribute");
    if !value.truth() {
        return Ok(Value::generator(Vec::new()));
    }
    let items = value.iterate()?;
    let mut out = Vec::new();
    if is_attribute {
        let mut take = |name: &str| {
            let at = args.named.iter().position(|(n, _)| **n == *name)?;
            Some(args.named.remove(at).1)
        };
        let (attribute, default) = (take("attribute"), take("default"));
        if let Some((name, _)) = args.named.first() {
            return fail(format!("Unexpected keyword argument '{name}'"));
        }
        let getter = Getter::new(attribute.as_ref(), false, default.filter(|v| !matches!(v, Value::None)))?;
        for item in items {
            out.push(getter.get(&item)?);
        }
    } else {
        if args.plain.is_empty() {
            return fail("map requires a filter argument");
        }
        let name = text_of(&args.plain.remove(0), "map")?;
        for item in items {
            render.spend(1)?;
            out.push(filters::apply(render, &name, item, args.clone())?);
        }
    }
    Ok(Value::generator(out))
}
/// select, reject, selectattr, rejectattr.
pub fn choose(render: &mut Render, value: &Value, mut args: Args, keeps: bool, by_attribute: bool) -> Res<Value> {
    if !value.truth() {
        return Ok(Value::generator(Vec::new()));
    }
    let mut getter = Getter::new(None, false, None)?;
    if by_attribute {
        if args.plain.is_empty() {
            return fail("Missing parameter for attribute name");
        }
        getter = Getter::new(Some(&args.plain.remove(0)), false, None)?;
    }
    let test = if args.plain.is_empty() { None } else { Some(text_of(&args.plain.remove(0), "the name of a test")?) };
    let mut out = Vec::new();
    for item in value.iterate()? {
        render.spend(1)?;
        let tested = getter.get(&item)?;
        let passes = match &test {
            Some(name) => tests::apply(name, &tested, args.clone())?,
            None => tested.truth(),
        };
        if passes == keeps {
            out.push(item);
        }
    }
    Ok(Value::generator(out))
}
