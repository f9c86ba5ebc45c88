//! What is sent: one typical text, ten senders, a million recipients.

use std::net::SocketAddr;

use fastrand::Rng;

/// 120 characters, one segment.
pub const TEXT: &str = "Your parcel will be delivered today between 14:00 and 16:00. Track it or choose a neighbour: \
                        https://example.com/t/4711x";
/// What every sender starts with; one digit follows.
pub const SENDER_PREFIX: &str = "+1555010";
/// What every recipient starts with; six digits follow.
pub const RECIPIENT_PREFIX: &str = "+4915112";

/// The sender and recipient of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    sender: u32,
    recipient: u32,
}

impl Numbers {
    /// Any two.
    pub fn random(random: &mut Rng) -> Numbers {
        Numbers { sender: random.u32(..10), recipient: random.u32(..1_000_000) }
    }

    /// The sender in E.164.
    pub fn sender(self) -> String {
        format!("{SENDER_PREFIX}{}", self.sender)
    }

    /// The recipient in E.164.
    pub fn recipient(self) -> String {
        format!("{RECIPIENT_PREFIX}{:06}", self.recipient)
    }
}

/// A whole HTTP request, in which nothing but digits changes from one message to the next: cheaper than to make
/// it anew.
#[derive(Debug)]
pub struct PostRequest {
    bytes: Vec<u8>,
    /// Where the digits of each message are: of its sender, then of its recipient.
    digits: Vec<(usize, usize)>,
    random: Rng,
}

impl PostRequest {
    /// `POST /v1/messages` with one message.
    pub fn single(service: SocketAddr) -> PostRequest {
        let mut body = Body::default();
        body.push_message();
        body.into_request(service, "/v1/messages")
    }

    /// `POST /v1/messages/batch` with `count` messages.
    pub fn batch(service: SocketAddr, count: usize) -> PostRequest {
        let mut body = Body::default();
        body.text.push_str("{\"messages\":[");
        for index in 0..count {
            body.text.push_str(if index == 0 { "" } else { "," });
            body.push_message();
        }
        body.text.push_str("]}");
        body.into_request(service, "/v1/messages/batch")
    }

    /// The next request.
    pub fn next(&mut self) -> &[u8] {
        for (sender, recipient) in &self.digits {
            let numbers = Numbers::random(&mut self.random);
            write_digits(&mut self.bytes[*sender..=*sender], numbers.sender);
            write_digits(&mut self.bytes[*recipient..*recipient + 6], numbers.recipient);
        }
        &self.bytes
    }
}

#[derive(Default)]
struct Body {
    text: String,
    digits: Vec<(usize, usize)>,
}

impl Body {
    fn push_message(&mut self) {
        self.text.push_str("{\"sender\":\"");
        self.text.push_str(SENDER_PREFIX);
        let sender = self.text.len();
        self.text.push_str("0\",\"recipient\":\"");
        self.text.push_str(RECIPIENT_PREFIX);
        let recipient = self.text.len();
        self.text.push_str("000000\",\"text\":\"");
        self.text.push_str(TEXT);
        self.text.push_str("\"}");
        self.digits.push((sender, recipient));
    }

    fn into_request(self, service: SocketAddr, path: &str) -> PostRequest {
        let length = self.text.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {service}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let digits = self.digits.into_iter().map(|(sender, recipient)| (head.len() + sender, head.len() + recipient));
        PostRequest { digits: digits.collect(), bytes: (head + &self.text).into_bytes(), random: Rng::new() }
    }
}

/// The last digits of `value`, as many as there is room for.
fn write_digits(room: &mut [u8], mut value: u32) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn service() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 8080))
    }

    /// The next request of `request`, taken apart by somebody else's parsers.
    fn next_body(request: &mut PostRequest, path: &str) -> Value {
        let bytes = request.next();
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = parsed.parse(bytes).expect("HTTP").unwrap();
        assert_eq!((parsed.method, parsed.path), (Some("POST"), Some(path)));
        let length = parsed.headers.iter().find(|header| header.name == "Content-Length").expect("a length").value;
        assert_eq!(std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()), Some(bytes.len() - head));
        serde_json::from_slice(&bytes[head..]).expect("JSON")
    }

    #[track_caller]
    fn check_message(message: &Value) {
        let field = |name: &str| message[name].as_str().expect("a text");
        assert_eq!((field("sender").len(), field("recipient").len()), ("+15550100".len(), "+4915112345678".len()));
        assert!(field("sender").starts_with(SENDER_PREFIX) && field("recipient").starts_with(RECIPIENT_PREFIX));
        assert_eq!(field("text"), TEXT);
    }

    #[test]
    fn the_text_is_typical() {
        assert_eq!(TEXT.len(), 120);
    }

    #[test]
    fn a_single_post_is_a_whole_request_with_one_message() {
        check_message(&next_body(&mut PostRequest::single(service()), "/v1/messages"));
    }

    #[test]
    fn a_batch_holds_as_many_messages_as_asked_for() {
        let body = next_body(&mut PostRequest::batch(service(), 3), "/v1/messages/batch");
        let messages = body["messages"].as_array().expect("a list");
        assert_eq!(messages.len(), 3);
        messages.iter().for_each(check_message);
    }

    #[test]
    fn recipients_vary_from_request_to_request() {
        let mut request = PostRequest::single(service());
        let first = request.next().to_vec();
        assert!((0..20).any(|_| request.next() != first));
    }

    #[test]
    fn digits_fill_their_room() {
        let mut room = *b"xxxxxx";
        write_digits(&mut room, 4711);
        assert_eq!(&room, b"004711");
    }

    #[test]
    fn numbers_are_written_as_requests_have_them() {
        let numbers = Numbers { sender: 7, recipient: 42 };
        assert_eq!((numbers.sender(), numbers.recipient()), ("+15550107".to_owned(), "+4915112000042".to_owned()));
    }
}
