//! The fields of a schema, and where a resource has them.

use serde_json::{Map, Value};

/// One step on the way to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// A property of an object.
    Property(String),
    /// Any item of a list.
    Item,
    /// Any value of a map.
    Entry,
}

/// One field of a schema.
#[derive(Clone, Debug)]
pub(crate) struct Field<'schema> {
    segments: Vec<Segment>,
    /// What the schema says of it.
    pub schema: &'schema Value,
}

/// The place of something, by the names and numbers of a JSON pointer, and what is there.
type Found<'object> = (Vec<String>, &'object Value);

/// The field `spec` of a resource with this schema, and every one below it.
pub(crate) fn spec(schema: &Value) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    let segments = vec![Segment::Property("spec".to_owned())];
    Field { segments, schema: &schema["properties"]["spec"] }.collect(&mut fields);
    fields
}

impl<'schema> Field<'schema> {
    /// As in `spec.api.env[].name`, with `{}` for any value of a map.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Property(name) if path.is_empty() => path.push_str(name),
                Segment::Property(name) => path.extend([".", name]),
                Segment::Item => path.push_str("[]"),
                Segment::Entry => path.push_str("{}"),
            }
        }
        path
    }

    /// Whether it is one of several members.
    pub fn is_enum(&self) -> bool {
        self.schema["enum"].is_array()
    }

    /// Its name, where it is a property.
    pub fn name(&self) -> Option<&str> {
        match self.segments.last()? {
            Segment::Property(name) => Some(name),
            Segment::Item | Segment::Entry => None,
        }
    }

    fn collect(self, fields: &mut Vec<Self>) {
        fields.push(self.clone());
        for name in self.schema["properties"].as_object().into_iter().flat_map(Map::keys) {
            self.property(name).collect(fields);
        }
        if self.schema["items"].is_object() {
            self.items().collect(fields);
        }
        if self.schema["additionalProperties"].is_object() {
            self.entries().collect(fields);
        }
    }

    fn below(&self, segment: Segment, schema: &'schema Value) -> Self {
        Self { segments: [self.segments.as_slice(), &[segment]].concat(), schema }
    }

    /// A property of it, which the schema must have.
    pub fn property(&self, name: &str) -> Self {
        self.below(Segment::Property(name.to_owned()), &self.schema["properties"][name])
    }

    /// Any item of it.
    pub fn items(&self) -> Self {
        self.below(Segment::Item, &self.schema["items"])
    }

    /// Any value of it, where it is a map.
    pub fn entries(&self) -> Self {
        self.below(Segment::Entry, &self.schema["additionalProperties"])
    }

    /// The first place where `object` has it.
    pub fn found_in<'object>(&self, object: &'object Value) -> Option<Found<'object>> {
        places(object, &self.segments).into_iter().next()
    }

    /// The first object in `object` that could have it and has not.
    pub fn absent_in<'object>(&self, object: &'object Value) -> Option<(Vec<String>, &'object Map<String, Value>)> {
        let name = self.name()?;
        let (_, parents) = self.segments.split_last()?;
        let objects = places(object, parents).into_iter();
        let mut objects = objects.filter_map(|(pointer, parent)| Some((pointer, parent.as_object()?)));
        objects.find(|(_, parent)| !parent.contains_key(name))
    }

    /// The whole numbers that stand beside it where `object` has it first.
    pub fn numbers_beside(&self, object: &Value) -> Vec<i64> {
        let Some((pointer, _)) = self.found_in(object) else { return Vec::new() };
        let (_, parents) = pointer.split_last().expect("a field is in an object");
        object
            .pointer(&json_pointer(parents))
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(_, value)| value.as_i64())
            .collect()
    }
}

/// As RFC 6901 writes it.
pub(crate) fn json_pointer(names: &[String]) -> String {
    names.iter().flat_map(|name| ["/".to_owned(), name.replace('~', "~0").replace('/', "~1")]).collect()
}

/// Every place of `segments` in `value`.
fn places<'object>(value: &'object Value, segments: &[Segment]) -> Vec<Found<'object>> {
    let Some((first, rest)) = segments.split_first() else { return vec![(Vec::new(), value)] };
    let next: Vec<(String, &Value)> = match (first, value) {
        (Segment::Property(name), Value::Object(fields)) => {
            fields.get(name).map(|value| (name.clone(), value)).into_iter().collect()
        }
        (Segment::Item, Value::Array(items)) => {
            items.iter().enumerate().map(|(number, item)| (number.to_string(), item)).collect()
        }
        (Segment::Entry, Value::Object(entries)) => entries.iter().map(|(name, value)| (name.clone(), value)).collect(),
        (Segment::Property(_) | Segment::Item | Segment::Entry, _) => Vec::new(),
    };
    let within = |(name, value)| {
        let found = places(value, rest).into_iter();
        found.map(move |(pointer, value)| ([vec![String::clone(&name)], pointer].concat(), value))
    };
    next.into_iter().flat_map(within).collect()
}
