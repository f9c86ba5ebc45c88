//! What stands between each call and the brokers: it counts them, or disturbs them in a test.

use std::{any::Any, fmt, pin::Pin};

use super::{Admin, Configurable};
use crate::Error;

/// One call to the brokers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Its name in the protocol.
    pub name: &'static str,
    /// The topics, groups, brokers and keys that it is about.
    pub about: Vec<String>,
}

/// What an interceptor says in its own time.
pub type Said<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// Is asked before each call and told after it.
pub trait Interceptor: Send + Sync {
    /// An error is the call's result, and the brokers are not asked.
    fn before<'a>(&'a self, _call: &'a Call) -> Said<'a> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// After the brokers were asked. An error takes the place of what they said; what the answer holds may be changed,
    /// where its type is public.
    fn after<'a>(&'a self, call: &'a Call, said: Result<&'a mut (dyn Any + Send), &'a Error>) -> Said<'a>;
}

/// Lets every call through.
pub(super) struct Through;

impl Interceptor for Through {
    fn after<'a>(&'a self, _call: &'a Call, _said: Result<&'a mut (dyn Any + Send), &'a Error>) -> Said<'a> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Admin {
    /// One call to the brokers. Each goes through here.
    pub(super) async fn made<T: Send + 'static>(
        &self,
        name: &'static str,
        about: impl IntoIterator<Item = impl fmt::Display>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let about = about.into_iter().map(|about| about.to_string()).collect();
        let asked = Call { name, about };
        self.interceptor.before(&asked).await?;
        let mut result = self.explained(call.await);
        let said = match &mut result {
            Ok(answer) => Ok(answer as &mut (dyn Any + Send)),
            Err(error) => Err(&*error),
        };
        self.interceptor.after(&asked, said).await?;
        result
    }
}

impl fmt::Display for Configurable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(formatter, "topic {name}"),
            Self::Group(id) => write!(formatter, "group {id}"),
            Self::Broker(id) => write!(formatter, "broker {id}"),
        }
    }
}
