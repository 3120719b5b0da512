//! Changing an input a little, by chance.

use super::targets::Shape;
use serde_json::Value;

/// Numbers that look random and are the same each time (splitmix64).
#[derive(Debug)]
pub struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// No input is longer than this.
const LONGEST: usize = 1 << 16;

const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    100,
    0xff,
    1 << 15,
    0xffff,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64 - 1,
    u32::MAX as u64,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX,
];

const TEXTS: [&str; 22] = [
    "",
    "/",
    ".",
    "..",
    "/proc",
    "/dev/null",
    "../..",
    "a\0b",
    "a\nb",
    "a\rb",
    "\u{202e}",
    "ä",
    "0",
    "-1",
    "max",
    "4294967295",
    "18446744073709551616",
    "0:0",
    "b *:* m",
    "a=b",
    "%s",
    "SCMP_ACT_NOTIFY",
];

/// An input that is a little different from `input`, and may have parts of `other`.
pub fn mutate(shape: Shape, input: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    if shape == Shape::Json
        && !chance.one_in(8)
        && let Ok(mut value) = serde_json::from_slice::<Value>(input)
    {
        let other = serde_json::from_slice::<Value>(other).unwrap_or(Value::Null);
        for _ in 0..=chance.below(3) {
            change_json(&mut value, &other, chance);
        }
        return value.to_string().into_bytes();
    }
    let mut data = input.to_vec();
    for _ in 0..=chance.below(5) {
        change_bytes(&mut data, other, chance);
    }
    data.truncate(LONGEST);
    data
}

fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(places).sum(),
        Value::Object(map) => map.values().map(places).sum(),
        _ => 0,
    }
}

/// The value at this place, counted through the whole tree.
fn at<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|value| at(value, place)),
        Value::Object(map) => map.values_mut().find_map(|value| at(value, place)),
        _ => None,
    }
}

fn any_of(value: &Value, chance: &mut Chance) -> Value {
    let mut copy = value.clone();
    let mut place = chance.below(places(&copy));
    at(&mut copy, &mut place).map(Value::take).unwrap_or_default()
}

fn change_json(value: &mut Value, other: &Value, chance: &mut Chance) {
    let whole = value.clone();
    let mut place = chance.below(places(value));
    let Some(value) = at(value, &mut place) else { return };
    match value {
        Value::Array(list) if !list.is_empty() && chance.one_in(2) => {
            let from = chance.below(list.len());
            let moved = list[from].clone();
            match chance.below(3) {
                0 => drop(list.remove(from)),
                1 => list.insert(chance.below(from + 1), moved),
                _ => list.push(any_of(other, chance)),
            }
        }
        Value::Object(map) if !map.is_empty() && chance.one_in(2) => {
            let name = chance.of(&map.keys().cloned().collect::<Vec<_>>());
            match (chance.below(3), other) {
                (0, _) => drop(map.remove(&name)),
                (1, Value::Object(others)) if !others.is_empty() => {
                    let (name, value) =
                        others.iter().nth(chance.below(others.len())).expect("there are some");
                    map.insert(name.clone(), value.clone());
                }
                _ => {
                    let mut text = name.clone().into_bytes();
                    change_bytes(&mut text, b"", chance);
                    map.insert(String::from_utf8_lossy(&text).into(), any_of(&whole, chance));
                }
            }
        }
        Value::String(text) if chance.one_in(2) => {
            let mut bytes = text.clone().into_bytes();
            change_bytes(&mut bytes, chance.of(&TEXTS).as_bytes(), chance);
            *text = String::from_utf8_lossy(&bytes).into();
        }
        value => *value = anything(&whole, other, chance),
    }
}

fn anything(whole: &Value, other: &Value, chance: &mut Chance) -> Value {
    match chance.below(8) {
        0 => Value::Null,
        1 => chance.one_in(2).into(),
        2 => chance.of(&NUMBERS).into(),
        3 => chance.of(&[-1i64, -1000, i64::MIN, i64::from(i32::MIN)]).into(),
        4 => chance.of(&TEXTS).into(),
        5 => Value::Array(vec![any_of(other, chance)]),
        6 => any_of(whole, chance),
        _ => any_of(other, chance),
    }
}

fn change_bytes(data: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    let place = chance.below(data.len() + 1);
    let length = [1, 2, 4, 8, 16, 64, 512][chance.below(7)].min(data.len() - place);
    match chance.below(10) {
        0 | 1 if place < data.len() => data[place] = chance.next() as u8,
        2 if place < data.len() => data[place] ^= 1 << chance.below(8),
        3 if place < data.len() => {
            data[place] = data[place].wrapping_add(chance.below(9) as u8).wrapping_sub(4);
        }
        4 => drop(data.drain(place..place + length)),
        5 => {
            let part = data[place..place + length].to_vec();
            let to = chance.below(data.len() + 1);
            data.splice(to..to, part);
        }
        6 if !other.is_empty() => {
            let from = chance.below(other.len());
            let part = &other[from..(from + 1 + chance.below(64)).min(other.len())];
            let over = if chance.one_in(2) { part.len().min(data.len() - place) } else { 0 };
            data.splice(place..place + over, part.iter().copied());
        }
        7 => {
            let number = chance.of(&NUMBERS).to_le_bytes();
            let wide = [1, 2, 4, 8][chance.below(4)];
            let over = wide.min(data.len() - place);
            let (little, big) = (number[..wide].to_vec(), number[..wide].iter().rev().copied().collect());
            data.splice(place..place + over, if chance.one_in(2) { little } else { big });
        }
        8 => {
            let text = chance.of(&NUMBERS).to_string();
            let digits = data[place..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            data.splice(place..place + digits, text.into_bytes());
        }
        _ => {
            let text = chance.of(&TEXTS);
            data.splice(place..place, text.bytes());
        }
    }
}
