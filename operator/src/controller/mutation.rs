//! Every field of the CRD does what it says: each of the changes that `crates/mutation` makes of the examples and of what the
//! rules accept shows in what is made of the pipeline, or is refused with a sentence that names the field; and taking it
//! back leaves everything as it was. `tests/promises/mutation.rs` tries the same changes on an API server.

mod steering;

use std::{collections::BTreeSet, num::NonZero, thread, time::Duration};

use mutation::{Change, Mutations, Resource};
use serde_json::Value;

use super::{build::build, fixtures::images, validate::validate};
use crate::{
    cli::placeholders,
    crd::{SmsPipeline, rules},
    file::{Refused, parse_document},
    scaling,
};

/// What becomes of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// Another object or topic is made.
    Visible,
    /// Another object or topic is made of a new pipeline; a rule refuses it as an edit.
    VisibleWhenNew,
    /// The operator itself does something else: `steering` says what.
    Steers,
    /// The field means what it meant before, as when a default is left out.
    Same,
    /// The schema refuses it.
    RefusedBySchema,
    /// A rule of the schema in CEL refuses it.
    RefusedByRule,
    /// `validate` refuses it.
    RefusedByValidation,
    /// It is as it must not be; says how.
    Broken(String),
}

/// A resource to begin from, and what is made of it.
struct Usable {
    pipeline: SmsPipeline,
    made: Vec<String>,
}

/// Every change, and of what.
fn mutations() -> Mutations {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples");
    let files = std::fs::read_dir(folder).expect("crds/examples is a folder");
    let files: BTreeSet<_> = files.map(|file| file.expect("readable").path()).collect();
    let examples = files.iter().map(|file| {
        let text = std::fs::read_to_string(file).expect("the example is readable");
        let object = crate::yaml::read(&text).expect("the example is YAML");
        Resource { name: file.file_stem().expect("a name").display().to_string(), object }
    });
    let accepted = rules::accepted().into_iter().map(|(name, object)| Resource { name, object });
    Mutations::of(&rules::schema(), examples.chain(accepted))
}

/// Everything that is made of a pipeline whose Secrets are all there: the objects to the byte, the topics, and what the
/// autoscaler is told.
fn made(pipeline: &SmsPipeline) -> Result<Vec<String>, String> {
    let referenced = placeholders::referenced(pipeline);
    let validated = validate(pipeline, &referenced, &images()).map_err(|invalid| invalid.to_string())?;
    let objects = build(&validated).objects();
    let objects = objects.iter().map(|object| serde_json::to_string(&object.content).expect("an object encodes"));
    let topics = validated.kafka.topics.all().map(|topic| format!("{topic:?}"));
    let scaling = scaling::settings(pipeline, Duration::from_secs(10)).map(|settings| format!("{settings:?}"));
    Ok(objects.chain(topics).chain(scaling).collect())
}

fn outcome(mutations: &Mutations, change: &Change, Usable { pipeline: before, made: old }: &Usable) -> Outcome {
    let resource = &mutations.resources[change.resource].object;
    let (after, refused) = match parse_document(mutations.changed(change), Some(before)) {
        Ok(after) => (after, None),
        Err(refused) => match parse_document(mutations.changed(change), None) {
            // Only an edit to it is refused: a new pipeline can have it, and there it must do something.
            Ok(after) => (after, Some(refused)),
            Err(_) => return refusal(change, &refused),
        },
    };
    let new = match made(&after) {
        Ok(new) => new,
        Err(sentence) if is_about(&sentence, &change.place()) => return Outcome::RefusedByValidation,
        Err(sentence) => return Outcome::Broken(format!("is refused without its field: {sentence}")),
    };
    let outcome = if after.spec == before.spec {
        Outcome::Same
    } else if new != *old {
        Outcome::Visible
    } else if steering::of(&after) != steering::of(before) {
        Outcome::Steers
    } else {
        return Outcome::Broken("is accepted and changes nothing".to_owned());
    };
    if let Some(refused) = refused {
        return match (refusal(change, &refused), outcome) {
            (Outcome::RefusedByRule, Outcome::Visible) => Outcome::VisibleWhenNew,
            (refusal, _) => refusal,
        };
    }
    match parse_document(resource.clone(), Some(&after)) {
        Ok(again) if made(&again).as_ref() == Ok(old) => outcome,
        Ok(_) => Outcome::Broken("does not go back to what was made before".to_owned()),
        // The one thing that cannot be taken back.
        Err(refused) if refused.to_string().contains("partitions cannot shrink") => outcome,
        Err(refused) => Outcome::Broken(format!("cannot be taken back: {refused}")),
    }
}

fn refusal(change: &Change, refused: &Refused) -> Outcome {
    let place = change.place();
    let is_rule = |line: &String| RULES.with(|rules| rules.iter().any(|rule| line.ends_with(rule.as_str())));
    if refused.0.iter().any(is_rule) {
        let told = refused.0.iter().any(|line| is_about(line, &place));
        return if told {
            Outcome::RefusedByRule
        } else {
            Outcome::Broken(format!("is refused without its field: {refused}"))
        };
    }
    // What has a wrong shape is named exactly, or the first thing in it that is missing.
    let told = refused.0.iter().any(|line| line.contains(&place));
    if told { Outcome::RefusedBySchema } else { Outcome::Broken(format!("is refused without its field: {refused}")) }
}

thread_local! {
    /// The messages of the rules.
    static RULES: BTreeSet<String> = messages(&rules::schema());
}

fn messages(schema: &Value) -> BTreeSet<String> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let mut found: BTreeSet<_> = rules.filter_map(|rule| rule["message"].as_str()).map(str::to_owned).collect();
    let below = schema["properties"].as_object().into_iter().flat_map(|properties| properties.values());
    for schema in below.chain([&schema["items"], &schema["additionalProperties"]]).filter(|schema| schema.is_object()) {
        found.extend(messages(schema));
    }
    found
}

/// Whether a sentence names a field that is the one at `place`, holds it or is in it.
fn is_about(sentence: &str, place: &str) -> bool {
    let is_end = |character: char| character.is_whitespace() || matches!(character, ':' | '"' | ',' | ';');
    let named =
        sentence.match_indices("spec.").map(|(start, _)| sentence[start..].split(is_end).next().unwrap_or_default());
    let holds = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    named.into_iter().any(|named| holds(named, place) || holds(place, named))
}

/// What becomes of every change, found out on every processor of the machine.
fn outcomes(mutations: &Mutations) -> Vec<(&Change, Outcome)> {
    let usable = |Resource { name, object }: &Resource| {
        let pipeline = parse_document(object.clone(), None).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        Usable { made: made(&pipeline).unwrap_or_else(|invalid| panic!("{name}: {invalid}")), pipeline }
    };
    let usable: Vec<_> = mutations.resources.iter().map(usable).collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let every = &|first: usize| {
        let changes = mutations.changes.iter().skip(first).step_by(threads);
        changes.map(|change| (change, outcome(mutations, change, &usable[change.resource]))).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || every(first))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("nothing panics")).collect()
    })
}

#[test]
fn every_field_does_what_it_says_or_is_refused_by_its_name_and_can_be_taken_back() {
    let mutations = mutations();
    assert_eq!(mutations.unreachable, [""; 0], "no change is known of these");
    let outcomes = outcomes(&mutations);
    let broken = outcomes.iter().filter_map(|(change, outcome)| match outcome {
        Outcome::Broken(how) => Some(format!("{change} of {}: {how}", mutations.resources[change.resource].name)),
        _ => None,
    });
    let broken: Vec<_> = broken.collect();
    let count = |wanted| outcomes.iter().filter(|(_, outcome)| *outcome == wanted).count();
    println!(
        "{} changes of {} fields: {} visible, {} visible in a new pipeline and refused as an edit, {} steer the operator, {} \
         mean the same; refused: {} by the schema, {} by its rules, {} by validation",
        outcomes.len(),
        mutations.fields.len(),
        count(Outcome::Visible),
        count(Outcome::VisibleWhenNew),
        count(Outcome::Steers),
        count(Outcome::Same),
        count(Outcome::RefusedBySchema),
        count(Outcome::RefusedByRule),
        count(Outcome::RefusedByValidation),
    );
    assert!(broken.is_empty(), "{} changes are broken:\n{}", broken.len(), broken.join("\n"));
    for field in mutations.fields.iter().filter(|field| is_leaf(&mutations, field)) {
        let of_field = |wanted: &[Outcome]| {
            outcomes.iter().any(|(change, outcome)| change.field == *field && wanted.contains(outcome))
        };
        let shows = of_field(&[Outcome::Visible, Outcome::VisibleWhenNew]);
        if steering::FIELDS.contains(&field.as_str()) {
            assert!(of_field(&[Outcome::Steers]), "{field} does not steer the operator");
            assert!(!shows, "{field} shows in what is made: take it out of steering");
        } else {
            assert!(shows, "{field} shows in nothing that is made");
        }
    }
}

/// Whether no other field is in it.
fn is_leaf(mutations: &Mutations, field: &str) -> bool {
    let is_below = |other: &String| other.strip_prefix(field).is_some_and(|rest| rest.starts_with(['.', '[', '{']));
    !mutations.fields.iter().any(is_below)
}
