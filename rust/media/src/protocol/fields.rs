//! Reading a JSON object from outside field by field; each error names the field.

use callward_journal::TrackId;
use serde_json::{Map, Value};

use super::Failure;

/// A JSON object and what it is called in errors.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    pub fn of(value: &'a Value, path: &str) -> Result<Fields<'a>, Failure> {
        match value {
            Value::Object(map) => Ok(Fields { map, path: path.to_string() }),
            _ => Err(Failure::bad_request(format!("{}: must be an object", if path.is_empty() { "request" } else { path }))),
        }
    }

    fn name(&self, field: &str) -> String {
        if self.path.is_empty() {
            field.to_string()
        } else {
            format!("{}.{field}", self.path)
        }
    }

    pub fn wrong(&self, field: &str, why: &str) -> Failure {
        Failure::bad_request(format!("{}: {why}", self.name(field)))
    }

    /// The value when it is there and not null.
    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// True when the field is there, be it null.
    pub fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    pub fn text(&self, field: &str) -> Result<Option<&'a str>, Failure> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(field, "must be a string")),
        }
    }

    pub fn flag(&self, field: &str) -> Result<Option<bool>, Failure> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(field, "must be true or false")),
        }
    }

    pub fn number(&self, field: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, Failure> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) if range.contains(&number) => Ok(Some(number)),
                _ => Err(self.wrong(field, &format!("must be a number from {} to {}", range.start(), range.end()))),
            },
        }
    }

    pub fn object(&self, field: &str) -> Result<Option<Fields<'a>>, Failure> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => Fields::of(value, &self.name(field)).map(Some),
        }
    }

    pub fn list(&self, field: &str, at_most: usize) -> Result<Option<&'a [Value]>, Failure> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Array(list)) if list.len() <= at_most => Ok(Some(list)),
            Some(_) => Err(self.wrong(field, &format!("must be a list of at most {at_most}"))),
        }
    }

    /// An item of a list as an object.
    pub fn item(&self, field: &str, at: usize, value: &'a Value) -> Result<Fields<'a>, Failure> {
        Fields::of(value, &format!("{}[{at}]", self.name(field)))
    }

    pub fn track(&self, field: &str) -> Result<TrackId, Failure> {
        let text = self.text(field)?.ok_or_else(|| self.wrong(field, "is missing"))?;
        text.parse().map_err(|_| self.wrong(field, "must be a ULID of 26 characters"))
    }

    /// A ULID that is only carried along.
    pub fn ulid(&self, field: &str) -> Result<String, Failure> {
        self.track(field).map(|id| id.to_string())
    }
}
