"""What one field says about another, for which OpenAPI has no words.

Data that fits the document is made without it, and would be refused; so requests that are meant to be accepted get it
right here, and the check that they are accepted can be made. Requests that are meant to be refused stay as they are.
"""

import datetime
import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if "Idempotency-Key" in case.headers:
        # Each request is another one, so it needs another key.
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
    # A cursor is one that a page gave out, with the same filters; and parts go by number or by cursor.
    case.query.pop("cursor", None)
    if "limit" in case.query:
        case.query.pop("page", None)
        case.query.pop("size", None)
    if "page" in case.query:
        # Pages by number reach the first 10,000 messages, and have up to 100.
        case.query["page"] = min(int(case.query["page"]), 99)
    if isinstance(case.body, dict):
        make_whole(case.body)
        if case.operation.path == "/v1/messages/batch":
            correct_batch(case.body)
        for message in [case.body, *(case.body.get("messages") or [])]:
            correct_fields(message)


def make_whole(values):
    """JSON Schema takes 10.0 for a whole number, which the service refuses as a fraction."""
    for key, value in list(values.items() if isinstance(values, dict) else enumerate(values)):
        if isinstance(value, float) and value.is_integer():
            values[key] = int(value)
        elif isinstance(value, (dict, list)):
            make_whole(value)


def correct_batch(batch):
    """Either messages, or recipients with sender and text."""
    one_content = ("recipients", "sender", "text")
    if all(batch.get(name) for name in one_content):
        batch.pop("messages", None)
    else:
        for name in [name for name in batch if name != "messages"]:
            del batch[name]
        batch["messages"] = batch.get("messages") or [{"sender": "10", "recipient": "10", "text": "0"}]


def correct_fields(message):
    message.pop("cursor", None)
    now = datetime.datetime.now(datetime.timezone.utc)
    for name, days in {"send_at": 1, "expires_at": 2, "created_after": -1, "created_before": 0}.items():
        if message.get(name) is not None:
            message[name] = (now + datetime.timedelta(days=days)).isoformat()
    # At most 1 KiB as JSON, which a schema can only say of each text.
    if len(str(message.get("metadata"))) > 500:
        message["metadata"] = None
