//! The admin calls that rdkafka does not wrap, over librdkafka's C interface.
//!
//! Each call makes a queue of its own and blocks on it until the answer is there. Pointers read from an
//! answer live as long as its [`Answer`], so everything is copied out before that is dropped.
#![expect(unsafe_code, reason = "rdkafka 0.39 wraps neither DescribeTopics, ListOffsets nor IncrementalAlterConfigs")]

mod configs;

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char, c_int},
    ptr,
    time::Duration,
};

use rdkafka::{
    admin::AdminClient,
    bindings::{
        rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new, rd_kafka_AdminOptions_set_request_timeout,
        rd_kafka_AdminOptions_t, rd_kafka_DescribeTopics, rd_kafka_DescribeTopics_result_topics, rd_kafka_ListOffsets,
        rd_kafka_ListOffsets_result_infos, rd_kafka_ListOffsetsResultInfo_topic_partition, rd_kafka_Node_id,
        rd_kafka_TopicCollection_destroy, rd_kafka_TopicCollection_of_topic_names, rd_kafka_TopicDescription_error,
        rd_kafka_TopicDescription_name, rd_kafka_TopicDescription_partitions, rd_kafka_TopicDescription_topic_id,
        rd_kafka_TopicPartitionInfo_leader, rd_kafka_TopicPartitionInfo_replicas, rd_kafka_Uuid_base64str,
        rd_kafka_admin_op_t, rd_kafka_error_code, rd_kafka_error_string, rd_kafka_event_DescribeTopics_result,
        rd_kafka_event_ListOffsets_result, rd_kafka_event_destroy, rd_kafka_event_error, rd_kafka_event_error_string,
        rd_kafka_event_log, rd_kafka_event_t, rd_kafka_queue_destroy, rd_kafka_queue_get_main, rd_kafka_queue_new,
        rd_kafka_queue_poll, rd_kafka_queue_t, rd_kafka_resp_err_t, rd_kafka_t, rd_kafka_topic_partition_t,
    },
    client::DefaultClientContext,
    topic_partition_list::{Offset, TopicPartitionList},
    types::RDKafkaErrorCode,
};

use crate::{
    Error,
    admin::Found,
    cause::{Cause, cause},
};

pub(crate) use configs::{alter_configs, describe_configs};

pub(crate) type Client = AdminClient<DefaultClientContext>;

const LIST_OFFSETS: &str = "ListOffsets";

/// A topic as the broker tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// The id that tells a topic from a later one of the same name, in base64. Source: KIP-516.
    pub topic_id: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// On how many brokers each partition is kept; where they differ, the fewest.
    pub replication_factor: i32,
    /// A broker that serves it: the leader of the first partition that has one.
    pub leader: Option<i32>,
}

/// The answer to one admin call.
struct Answer(*mut rd_kafka_event_t);

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: `call` got the event from its queue, and nobody else destroys it.
        unsafe { rd_kafka_event_destroy(self.0) }
    }
}

/// Sends one admin call and waits for its answer.
fn call(
    client: &Client,
    name: &'static str,
    operation: rd_kafka_admin_op_t,
    timeout: Duration,
    send: impl FnOnce(*mut rd_kafka_t, *const rd_kafka_AdminOptions_t, *mut rd_kafka_queue_t),
) -> Result<Answer, Error> {
    let timeout = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the client outlives the call; queue and options are made and destroyed here, the event goes
    // to `Answer`; librdkafka copies what `send` hands over before it returns.
    unsafe {
        let native = client.inner().native_ptr();
        let queue = rd_kafka_queue_new(native);
        let options = rd_kafka_AdminOptions_new(native, operation);
        let mut reason: [c_char; 256] = [0; 256];
        rd_kafka_AdminOptions_set_request_timeout(options, timeout, reason.as_mut_ptr(), reason.len());
        send(native, options, queue);
        rd_kafka_AdminOptions_destroy(options);
        // The client gives up by itself at `timeout`; the margin only guards against waiting for ever.
        let event = rd_kafka_queue_poll(queue, timeout.saturating_add(1000));
        rd_kafka_queue_destroy(queue);
        if event.is_null() {
            return Err(Error::Call { call: name, reason: "no answer".to_owned() });
        }
        let answer = Answer(event);
        if rd_kafka_event_error(answer.0) != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Error::Call { call: name, reason: text(rd_kafka_event_error_string(answer.0)) });
        }
        Ok(answer)
    }
}

/// Reads what the client has logged since this was last called, which nobody else does, and gives the last cause in it
/// that keeps us from the brokers.
pub(crate) fn logged_cause(client: &Client) -> Option<Cause> {
    let mut last = None;
    // SAFETY: the client outlives the call; the queue is destroyed here, each event by `Answer`; the pointers that
    // `rd_kafka_event_log` sets lead into the event.
    unsafe {
        let queue = rd_kafka_queue_get_main(client.inner().native_ptr());
        loop {
            let event = rd_kafka_queue_poll(queue, 0);
            if event.is_null() {
                break;
            }
            let event = Answer(event);
            let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
            if rd_kafka_event_log(event.0, &raw mut facility, &raw mut line, &raw mut level) == 0 {
                let line = text(line);
                tracing::debug!(level, line, "librdkafka");
                last = cause(&line).or(last);
            }
        }
        rd_kafka_queue_destroy(queue);
    }
    last
}

pub(crate) fn describe_topics(
    client: &Client,
    names: &[String],
    timeout: Duration,
) -> Result<Found<String, TopicDescription>, Error> {
    const NAME: &str = "DescribeTopics";
    let names: Vec<CString> = names.iter().map(|name| c_string(name, NAME)).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: `names` outlives the collection, which is destroyed here; results are copied out while
    // `answer` lives; librdkafka's lists hold `count` valid pointers.
    unsafe {
        let topics = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let answer = call(
            client,
            NAME,
            rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            timeout,
            |native, options, queue| {
                rd_kafka_DescribeTopics(native, topics, options, queue);
            },
        );
        rd_kafka_TopicCollection_destroy(topics);
        let answer = answer?;
        let mut count = 0;
        let list =
            rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(answer.0), &raw mut count);
        let mut found = BTreeMap::new();
        for index in 0..count {
            let topic = *list.add(index);
            let name = text(rd_kafka_TopicDescription_name(topic));
            let error = rd_kafka_TopicDescription_error(topic);
            let code = if error.is_null() {
                rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            } else {
                rd_kafka_error_code(error)
            };
            match code {
                rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    let mut partitions = 0;
                    let first = rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
                    let replicas = (0..partitions).map(|partition| {
                        let mut replicas = 0;
                        rd_kafka_TopicPartitionInfo_replicas(*first.add(partition), &raw mut replicas);
                        replicas
                    });
                    let replication_factor = i32::try_from(replicas.min().unwrap_or_default()).unwrap_or(i32::MAX);
                    let mut leaders =
                        (0..partitions).map(|partition| rd_kafka_TopicPartitionInfo_leader(*first.add(partition)));
                    let leader = leaders.find(|node| !node.is_null()).map(|node| rd_kafka_Node_id(node));
                    let topic_id = text(rd_kafka_Uuid_base64str(rd_kafka_TopicDescription_topic_id(topic)));
                    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
                    found.insert(name, Ok(TopicDescription { topic_id, partitions, replication_factor, leader }));
                }
                rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {}
                _ => {
                    let reason = text(rd_kafka_error_string(error));
                    found.insert(name.clone(), Err(Error::refused(NAME, name, code.into(), reason)));
                }
            }
        }
        Ok(found)
    }
}

/// Refuses an element that carries an error, or still the mark that was asked with: of a broker that hangs, librdkafka tells
/// neither an offset nor an error.
fn checked(element: &rd_kafka_topic_partition_t, call: &'static str) -> Result<((String, i32), i64), Error> {
    if element.err == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        if element.offset < 0 {
            return Err(Error::Call { call, reason: "no answer of the partition's leader".to_owned() });
        }
        return Ok((place(element), element.offset));
    }
    let code = RDKafkaErrorCode::from(element.err);
    if code == RDKafkaErrorCode::UnknownPartition {
        let (topic, partition) = place(element);
        return Err(Error::UnknownPartition { call, topic, partition });
    }
    Err(Error::refused(call, place(element).0, code, code.to_string()))
}

/// Offsets of many partitions in one call: `End`, or `Beginning` for the first one that still exists. librdkafka's
/// marks for them are those of KIP-396.
pub(crate) fn list_offsets(
    client: &Client,
    partitions: &[(String, i32)],
    mark: Offset,
    timeout: Duration,
) -> Result<BTreeMap<(String, i32), i64>, Error> {
    let wanted = partition_list(partitions, mark, LIST_OFFSETS)?;
    match list_offsets_of(client, &wanted, timeout) {
        Err(Error::UnknownPartition { .. }) => {
            // The client asked no broker: it went by what it knew of the topic, which may have grown since, and others with it.
            // To ask for one topic by its name would have a broker make it anew once it is deleted, unless that is forbidden.
            let fetched = client.inner().fetch_metadata(None, timeout);
            fetched.map_err(|error| Error::Call { call: "Metadata", reason: error.to_string() })?;
            list_offsets_of(client, &wanted, timeout)
        }
        listed => listed,
    }
}

fn list_offsets_of(
    client: &Client,
    wanted: &TopicPartitionList,
    timeout: Duration,
) -> Result<BTreeMap<(String, i32), i64>, Error> {
    // SAFETY: the list is ours and copied by the call; results are copied out while `answer` lives.
    unsafe {
        let answer = call(
            client,
            LIST_OFFSETS,
            rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
            timeout,
            |native, options, queue| {
                rd_kafka_ListOffsets(native, wanted.ptr(), options, queue);
            },
        )?;
        let mut count = 0;
        let infos = rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(answer.0), &raw mut count);
        (0..count)
            .map(|index| checked(&*rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(index)), LIST_OFFSETS))
            .collect()
    }
}

pub(crate) fn partition_list(
    partitions: &[(String, i32)],
    offset: Offset,
    call: &'static str,
) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, offset)
            .map_err(|error| Error::Call { call, reason: error.to_string() })?;
    }
    Ok(list)
}

fn place(element: &rd_kafka_topic_partition_t) -> (String, i32) {
    // SAFETY: librdkafka's elements carry a NUL-terminated topic.
    (unsafe { text(element.topic) }, element.partition)
}

/// # Safety
/// `pointer` is null or a NUL-terminated string.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn c_string(value: &str, call: &'static str) -> Result<CString, Error> {
    CString::new(value).map_err(|_| Error::Call { call, reason: format!("{value:?} holds a NUL byte") })
}
