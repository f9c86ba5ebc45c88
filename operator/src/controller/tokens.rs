//! The tokens of internal calls, and how one takes over from another without a call being refused. Pure.
//!
//! Every token has a key of its own in the generated Secret, and each pod is told the keys that it knows. So a pod template
//! says which tokens its pods have, and none starts with another one, however late its node hears of a changed Secret.
//! The stages of a rotation, each of which begins when the pods of the one before are gone:
//!
//! | stage | the API accepts | processors present |
//! |---|---|---|
//! | none | the old one | the old one |
//! | [`Stage::Accepted`] | both | the old one |
//! | [`Stage::Presented`] | both | the new one |
//! | [`Stage::Alone`] | the new one | the new one |
//!
//! Then the old one leaves the Secret. All of it is in the Secret, so that an operator that crashes goes on where it was.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::ResourceExt;

use crate::{
    controller::{dereference::Sensitive, names::INTERNAL_TOKEN_KEY},
    crd::SmsPipeline,
};

/// The annotation of a pipeline that asks for another token, by any value that it did not have before. The Secret has it
/// too, with the value that was answered last.
pub const ROTATE: &str = "smspipeline.dev/rotate-internal-token";
/// The annotation of the Secret that tells how far a rotation has come.
pub const STAGE: &str = "smspipeline.dev/internal-token-stage";

/// What the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTokens {
    /// The one in use, or the old one.
    current: Token,
    /// The new one, and how far it has come.
    successor: Option<(Stage, Token)>,
    /// The request that was answered last.
    answered: Option<String>,
    /// The version of the Secret that says so: none that was written since is written over.
    version: Option<String>,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its key in the Secret.
    pub key: String,
    /// The token itself.
    pub value: Sensitive,
}

/// How far a new token has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The API accepts it beside the old one.
    Accepted,
    /// Processors present it.
    Presented,
    /// The API accepts no other.
    Alone,
}

/// Which pods a stage replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// Those of the API.
    Api,
    /// Those of the processors.
    Processors,
}

/// Whether the pods of the stage before are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Some may still be there.
    UnderWay,
    /// All are gone.
    Over,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Accepted, Self::Presented, Self::Alone];

    /// As the annotation tells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Presented => "Presented",
            Self::Alone => "Alone",
        }
    }

    /// Which pods it replaces.
    pub fn replaces(self) -> Replaces {
        match self {
            Self::Accepted | Self::Alone => Replaces::Api,
            Self::Presented => Replaces::Processors,
        }
    }
}

impl InternalTokens {
    /// No other one than this.
    pub fn only(value: Sensitive) -> Self {
        let current = Token { key: INTERNAL_TOKEN_KEY.to_owned(), value };
        Self { current, successor: None, answered: None, version: None }
    }

    /// As `secret` tells, and a new one where it has none. A new one answers every request.
    pub fn read(secret: Option<&Secret>, asked: Option<&str>) -> Self {
        let data = secret.iter().flat_map(|secret| secret.data.iter().flatten());
        let mut found = data.filter_map(token).collect::<BTreeMap<_, _>>();
        let annotated = |name: &str| secret?.annotations().get(name).cloned();
        let version = secret.and_then(ResourceExt::resource_version);
        let Some((_, current)) = found.pop_first() else {
            return Self { answered: asked.map(str::to_owned), version, ..Self::only(new_token()) };
        };
        let stage = annotated(STAGE);
        let stage = Stage::ALL.into_iter().find(|known| stage.as_deref() == Some(known.name()));
        let successor = found.pop_last().map(|(_, token)| (stage.unwrap_or(Stage::Accepted), token));
        Self { current, successor, answered: annotated(ROTATE), version }
    }

    /// Those that the API accepts.
    pub fn accepted(&self) -> Vec<&Token> {
        match &self.successor {
            None => vec![&self.current],
            Some((Stage::Accepted | Stage::Presented, new)) => vec![&self.current, new],
            Some((Stage::Alone, new)) => vec![new],
        }
    }

    /// The one that processors present.
    pub fn presented(&self) -> &Token {
        match &self.successor {
            None | Some((Stage::Accepted, _)) => &self.current,
            Some((Stage::Presented | Stage::Alone, new)) => new,
        }
    }

    /// How far a rotation has come; `None` where there is none.
    pub fn stage(&self) -> Option<Stage> {
        self.successor.as_ref().map(|(stage, _)| *stage)
    }

    /// What follows; `None` where nothing is to be done, yet or at all.
    pub fn next(&self, asked: Option<&str>, rollout: Rollout) -> Option<Self> {
        let Some((stage, new)) = &self.successor else {
            if asked.is_none() || asked == self.answered.as_deref() {
                return None;
            }
            let new = Token { key: next_key(&self.current.key), value: new_token() };
            let answered = asked.map(str::to_owned);
            return Some(Self { successor: Some((Stage::Accepted, new)), answered, ..self.clone() });
        };
        match (rollout, stage) {
            (Rollout::UnderWay, _) => None,
            (Rollout::Over, Stage::Accepted) => self.at(Stage::Presented),
            (Rollout::Over, Stage::Presented) => self.at(Stage::Alone),
            (Rollout::Over, Stage::Alone) => Some(Self { current: new.clone(), successor: None, ..self.clone() }),
        }
    }

    fn at(&self, stage: Stage) -> Option<Self> {
        let (_, new) = self.successor.clone()?;
        Some(Self { successor: Some((stage, new)), ..self.clone() })
    }

    /// Makes `secret` say so.
    pub fn write(&self, secret: &mut Secret) {
        let held = [Some(&self.current), self.successor.as_ref().map(|(_, new)| new)].into_iter().flatten();
        let entry = |token: &Token| (token.key.clone(), ByteString(token.value.0.clone().into_bytes()));
        secret.data = Some(held.map(entry).collect());
        let stage = self.stage().map(|stage| (STAGE.to_owned(), stage.name().to_owned()));
        let answered = self.answered.clone().map(|answered| (ROTATE.to_owned(), answered));
        let annotations: BTreeMap<_, _> = stage.into_iter().chain(answered).collect();
        secret.metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
        secret.metadata.resource_version.clone_from(&self.version);
    }
}

/// The value of the annotation that asks for another token.
pub fn asked(pipeline: &SmsPipeline) -> Option<&str> {
    pipeline.annotations().get(ROTATE).map(String::as_str).filter(|value| !value.is_empty())
}

/// A token that nobody can guess: 244 random bits.
fn new_token() -> Sensitive {
    Sensitive(format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()))
}

/// A token with its number; `None` for what is none.
fn token((key, value): (&String, &ByteString)) -> Option<(u64, Token)> {
    let value = String::from_utf8(value.0.clone()).ok().filter(|value| !value.trim().is_empty())?;
    Some((number(key)?, Token { key: key.clone(), value: Sensitive(value) }))
}

/// Counted from the first, whose key has no number.
fn number(key: &str) -> Option<u64> {
    match key.strip_prefix(INTERNAL_TOKEN_KEY)? {
        "" => Some(1),
        rest => rest.strip_prefix('-')?.parse().ok(),
    }
}

/// A key that no token has had, so that no node can mistake one for another.
fn next_key(key: &str) -> String {
    format!("{INTERNAL_TOKEN_KEY}-{}", number(key).unwrap_or(1).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(tokens: &InternalTokens) -> Secret {
        let mut secret = Secret::default();
        tokens.write(&mut secret);
        secret
    }

    /// What an operator that has just started makes of the Secret.
    fn reread(tokens: &InternalTokens) -> InternalTokens {
        InternalTokens::read(Some(&written(tokens)), None)
    }

    fn over(tokens: &InternalTokens, asked: &str) -> InternalTokens {
        tokens.next(Some(asked), Rollout::Over).expect("another stage")
    }

    /// Every stage of a rotation, from before it to after it.
    fn rotation(asked: &str) -> Vec<InternalTokens> {
        let mut stages = vec![InternalTokens::only(Sensitive("first".to_owned()))];
        while let Some(next) = stages[stages.len() - 1].next(Some(asked), Rollout::Over) {
            stages.push(next);
        }
        stages
    }

    #[test]
    fn no_pod_of_a_stage_presents_what_a_pod_of_that_stage_or_the_one_before_refuses() {
        let stages = rotation("1");
        assert_eq!(stages.len(), 5);
        for pair in stages.windows(2) {
            // While a stage begins, pods of the one before are there too.
            for (api, processor) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let presented = pair[processor].presented();
                assert!(pair[api].accepted().contains(&presented), "{:?}", pair[1].stage());
            }
        }
    }

    #[test]
    fn a_pod_that_starts_finds_its_tokens_in_the_secret_also_while_the_next_stage_begins() {
        for pair in rotation("1").windows(2) {
            // What follows the last stage takes a token away that pods of the stage before are no longer told of.
            let data = written(&pair[1]).data.expect("it holds tokens");
            for token in pair[0].accepted().into_iter().chain([pair[0].presented()]) {
                assert_eq!(data.get(&token.key), Some(&ByteString(token.value.0.clone().into_bytes())));
            }
        }
    }

    #[test]
    fn each_stage_replaces_pods_of_one_kind_only() {
        for pair in rotation("1").windows(2) {
            let api = pair[0].accepted() != pair[1].accepted();
            let processors = pair[0].presented() != pair[1].presented();
            let replaces = pair[1].stage().map(Stage::replaces);
            assert_eq!(api, replaces == Some(Replaces::Api), "{:?}", pair[1].stage());
            assert_eq!(processors, replaces == Some(Replaces::Processors), "{:?}", pair[1].stage());
        }
    }

    #[test]
    fn an_operator_that_starts_anew_finds_every_stage_as_it_was() {
        for tokens in rotation("1") {
            assert_eq!(reread(&tokens), tokens);
        }
    }

    #[test]
    fn no_stage_begins_before_the_pods_of_the_one_before_are_gone() {
        for tokens in &rotation("1")[1..] {
            assert_eq!(tokens.next(Some("1"), Rollout::UnderWay), None);
        }
    }

    #[test]
    fn only_a_value_that_was_not_answered_asks_for_a_token() {
        let first = InternalTokens::only(Sensitive("first".to_owned()));
        assert_eq!(first.next(None, Rollout::Over), None);
        let done = rotation("1").pop().expect("an end");
        for asked in [None, Some("1")] {
            assert_eq!(done.next(asked, Rollout::Over), None);
        }
        let again = over(&done, "2");
        assert_eq!(again.accepted().iter().map(|token| token.key.as_str()).collect::<Vec<_>>(), ["token-2", "token-3"]);
    }

    #[test]
    fn a_request_that_comes_meanwhile_is_answered_afterwards() {
        let mut tokens = rotation("1").swap_remove(2);
        let (new, _) = (tokens.presented().clone(), tokens.stage());
        while tokens.stage().is_some() {
            tokens = over(&tokens, "2");
        }
        assert_eq!(tokens.presented(), &new);
        assert_eq!(over(&tokens, "2").stage(), Some(Stage::Accepted));
    }

    #[test]
    fn a_new_pipeline_starts_with_one_token_whatever_it_asks_for() {
        let tokens = InternalTokens::read(None, Some("1"));
        assert_eq!((tokens.presented().key.as_str(), tokens.stage()), ("token", None));
        assert_eq!(tokens.next(Some("1"), Rollout::Over), None);
    }

    #[test]
    fn what_is_no_token_of_ours_is_passed_over() {
        let mut secret = written(&InternalTokens::only(Sensitive("first".to_owned())));
        let data = secret.data.as_mut().expect("it holds a token");
        for (key, value) in [("token-", "x"), ("token-x", "x"), ("tokens", "x"), ("other", "x"), ("token-2", " ")] {
            data.insert(key.to_owned(), ByteString(value.into()));
        }
        let tokens = InternalTokens::read(Some(&secret), None);
        assert_eq!((tokens.accepted().len(), tokens.presented().value.0.as_str()), (1, "first"));
    }

    #[test]
    fn no_token_is_in_debug_output() {
        let shown = format!("{:?}", rotation("1"));
        assert!(!shown.contains("first"), "{shown}");
    }
}
