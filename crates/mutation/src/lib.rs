//! Hundreds of changes of a custom resource, each of one field, made from the schema of its CRD, in the manner of Acto (Gu,
//! Sun et al.: "Acto: Automatic End-to-End Testing for Operation Correctness of Cloud System Management", SOSP 2023). Pure,
//! and the same each time.
//!
//! Every field of the schema is changed where one of the resources to begin from has it: to the values at and just past
//! its bounds, to other members and shapes, to what is of the wrong type, and to nothing. What none of them has is
//! added. `values` says which values a schema stands for and `words` holds what no schema tells.

mod fields;
mod values;
mod words;

use std::fmt;

use serde_json::Value;

use fields::{Field, json_pointer};

/// A resource to begin from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// What it is called in messages.
    pub name: String,
    /// The resource.
    pub object: Value,
}

/// One field, changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which field of the schema: `[]` stands for any item and `{}` for any value of a map.
    pub field: String,
    /// Which of [`Mutations::resources`] is changed.
    pub resource: usize,
    /// Where: the names and numbers of a JSON pointer.
    pub pointer: Vec<String>,
    /// What is there afterwards; nothing where it is taken away.
    pub value: Option<Value>,
}

/// Changes of resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mutations {
    /// What is changed: the resources that were given, and these with a field added that none of them had.
    pub resources: Vec<Resource>,
    /// The changes.
    pub changes: Vec<Change>,
    /// Every field of the schema below `spec`.
    pub fields: Vec<String>,
    /// What no change could be made of, and why.
    pub unreachable: Vec<String>,
}

impl Mutations {
    /// Every change that `schema`, the `openAPIV3Schema` of a version of a CRD, has for the `spec` of these resources. Of
    /// them only those are used that have a field that none before them has, or another member of several.
    pub fn of(schema: &Value, resources: impl IntoIterator<Item = Resource>) -> Self {
        let fields = fields::spec(schema);
        let mut mutations = Self::default();
        for resource in resources {
            let is_new = |field: &Field| {
                let found = field.found_in(&resource.object);
                found.is_some_and(|(_, value)| !mutations.has(field, field.is_enum().then_some(value)))
            };
            if fields.iter().any(is_new) {
                mutations.resources.push(resource);
            }
        }
        for field in fields {
            mutations.fields.push(field.path());
            if let Err(why) = mutations.change(&field) {
                mutations.unreachable.push(format!("{}: {why}", field.path()));
            }
        }
        mutations
    }

    /// The resource after a change.
    pub fn changed(&self, change: &Change) -> Value {
        let mut object = self.resources[change.resource].object.clone();
        set(&mut object, &change.pointer, change.value.clone());
        object
    }

    /// Whether a resource has it, with `value` where one is given.
    fn has(&self, field: &Field, value: Option<&Value>) -> bool {
        let mut found = self.resources.iter().filter_map(|resource| field.found_in(&resource.object));
        found.any(|(_, found)| value.is_none_or(|value| value == found))
    }

    fn change(&mut self, field: &Field) -> Result<(), String> {
        let elsewhere = self.found_elsewhere(field);
        self.add(field, &elsewhere)?;
        let places = self.places(field);
        if places.is_empty() {
            return Err("no resource has it, nor what it could be added to".to_owned());
        }
        for (resource, pointer, current) in places {
            let beside = field.numbers_beside(&self.resources[resource].object);
            let values = values::of(field, &current, &beside)?;
            for value in values.into_iter().chain(elsewhere.iter().cloned()).filter(|value| *value != current) {
                self.push(field, resource, &pointer, Some(value));
            }
            if let Some((name, value)) = values::unknown_member(field) {
                self.push(field, resource, &[pointer.as_slice(), &[name.to_owned()]].concat(), Some(value));
            }
            self.push(field, resource, &pointer, None);
        }
        Ok(())
    }

    /// Adds it where it is absent, beside and in place of its alternatives. What no resource has is added to one of them
    /// for good, so that what is in it can be changed.
    fn add(&mut self, field: &Field, elsewhere: &[Value]) -> Result<(), String> {
        let absent = self.first(|object| field.absent_in(object).map(|(pointer, parent)| (pointer, parent.clone())));
        let (Some((resource, parent, siblings)), Some(name)) = (absent, field.name()) else { return Ok(()) };
        let values = if elsewhere.is_empty() { vec![values::sample(field)?] } else { elsewhere.to_vec() };
        let alternatives = words::alternatives(name);
        let in_place_of = |value: &Value| {
            let others = siblings.iter().filter(|(name, _)| !alternatives.contains(&name.as_str()));
            let members = others.map(|(name, value)| (name.clone(), value.clone()));
            Value::Object(members.chain([(name.to_owned(), value.clone())]).collect())
        };
        for value in &values {
            self.push(field, resource, &[parent.as_slice(), &[name.to_owned()]].concat(), Some(value.clone()));
            if siblings.keys().any(|sibling| alternatives.contains(&sibling.as_str())) {
                self.push(field, resource, &parent, Some(in_place_of(value)));
            }
        }
        if elsewhere.is_empty() {
            let Resource { name, mut object } = self.resources[resource].clone();
            set(&mut object, &parent, values.first().map(in_place_of));
            self.resources.push(Resource { name: format!("{name} with {}", field.path()), object });
        }
        Ok(())
    }

    /// Where it is changed, and what is there: in the first resource that has it, and if it is one of several members, in
    /// the first that has each, because which others go with what stands beside it depends on that.
    fn places(&self, field: &Field) -> Vec<(usize, Vec<String>, Value)> {
        let mut places: Vec<(usize, Vec<String>, Value)> = Vec::new();
        for (number, resource) in self.resources.iter().enumerate() {
            let Some((pointer, value)) = field.found_in(&resource.object) else { continue };
            let is_new = places.iter().all(|(_, _, known)| known != value);
            if places.is_empty() || field.is_enum() && is_new {
                places.push((number, pointer, value.clone()));
            }
        }
        places
    }

    /// The values that the resources have there, a few of them.
    fn found_elsewhere(&self, field: &Field) -> Vec<Value> {
        const FEW: usize = 3;
        let mut values: Vec<Value> = Vec::new();
        for (_, value) in self.resources.iter().filter_map(|resource| field.found_in(&resource.object)) {
            if values.len() < FEW && !values.contains(value) {
                values.push(value.clone());
            }
        }
        values
    }

    fn first<T>(&self, look: impl Fn(&Value) -> Option<(Vec<String>, T)>) -> Option<(usize, Vec<String>, T)> {
        let mut resources = self.resources.iter().enumerate();
        resources.find_map(|(number, resource)| look(&resource.object).map(|(pointer, found)| (number, pointer, found)))
    }

    fn push(&mut self, field: &Field, resource: usize, pointer: &[String], value: Option<Value>) {
        let change = Change { field: field.path(), resource, pointer: pointer.to_vec(), value };
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }
}

/// Sets what is at a place that there is already or could be, or takes it away.
fn set(object: &mut Value, pointer: &[String], value: Option<Value>) {
    let Some((last, parents)) = pointer.split_last() else { return };
    match (object.pointer_mut(&json_pointer(parents)), value) {
        (Some(Value::Object(fields)), Some(value)) => {
            fields.insert(last.clone(), value);
        }
        (Some(Value::Object(fields)), None) => {
            fields.remove(last);
        }
        (Some(Value::Array(items)), value) => {
            let number: usize = last.parse().expect("items have numbers");
            items.splice(number..=number, value);
        }
        (_, _) => unreachable!("a field is in an object or a list"),
    }
}

impl fmt::Display for Change {
    /// As in `spec.api.replicas = 2`, with long values cut short.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 100;
        write!(formatter, "{}", self.place())?;
        let Some(value) = &self.value else { return write!(formatter, " is taken away") };
        let text = value.to_string();
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(formatter, " = {}… ({} bytes)", &text[..end], text.len()),
            None => write!(formatter, " = {text}"),
        }
    }
}

impl Change {
    /// The field as messages name it, as in `spec.api.env[0].name`.
    pub fn place(&self) -> String {
        let mut place = String::new();
        for (number, name) in self.pointer.iter().enumerate() {
            match name.parse::<usize>() {
                Ok(item) => place.extend(["[".to_owned(), item.to_string(), "]".to_owned()]),
                Err(_) if number == 0 => place += name,
                Err(_) => place.extend([".", name]),
            }
        }
        place
    }
}
