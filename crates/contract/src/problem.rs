//! Names of the problems that one of our services branches on. Source: RFC 9457, `type`.

/// What every problem type of sms-api starts with.
pub const PROBLEM_TYPES: &str = "https://smspipeline.dev/problems/";

/// sms-api knows no such message. A 404 without this type comes from somebody else on the way.
pub const MESSAGE_NOT_FOUND: &str = "https://smspipeline.dev/problems/message-not-found";
