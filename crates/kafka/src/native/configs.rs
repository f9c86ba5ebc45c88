//! Settings: DescribeConfigs reads all, IncrementalAlterConfigs sets what is named and touches no other.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::bindings::{
    rd_kafka_AlterConfigOpType_t, rd_kafka_ConfigEntry_name, rd_kafka_ConfigEntry_value,
    rd_kafka_ConfigResource_add_incremental_config, rd_kafka_ConfigResource_configs, rd_kafka_ConfigResource_destroy,
    rd_kafka_ConfigResource_error, rd_kafka_ConfigResource_error_string, rd_kafka_ConfigResource_name,
    rd_kafka_ConfigResource_new, rd_kafka_ConfigResource_t, rd_kafka_DescribeConfigs,
    rd_kafka_DescribeConfigs_result_resources, rd_kafka_IncrementalAlterConfigs,
    rd_kafka_IncrementalAlterConfigs_result_resources, rd_kafka_ResourceType_t, rd_kafka_admin_op_t,
    rd_kafka_error_destroy, rd_kafka_event_DescribeConfigs_result, rd_kafka_event_IncrementalAlterConfigs_result,
    rd_kafka_resp_err_t,
};

use super::{Client, c_string, call, text};
use crate::{Config, Configurable, Error};

const ALTER: &str = "IncrementalAlterConfigs";
const DESCRIBE: &str = "DescribeConfigs";

/// A topic or group with the settings that it shall get.
struct Resource(*mut rd_kafka_ConfigResource_t);

impl Drop for Resource {
    fn drop(&mut self) {
        // SAFETY: `new` made it, and nobody else destroys it.
        unsafe { rd_kafka_ConfigResource_destroy(self.0) }
    }
}

impl Resource {
    fn new(configurable: &Configurable, call: &'static str) -> Result<Self, Error> {
        let (kind, name) = match configurable {
            Configurable::Topic(name) => (rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.clone()),
            Configurable::Group(name) => (rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_GROUP, name.clone()),
            Configurable::Broker(id) => (rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER, id.to_string()),
        };
        let name = c_string(&name, call)?;
        // SAFETY: librdkafka copies the name.
        Ok(Self(unsafe { rd_kafka_ConfigResource_new(kind, name.as_ptr()) }))
    }

    fn set(&self, name: &str, value: &str) -> Result<(), Error> {
        let (name, value) = (c_string(name, ALTER)?, c_string(value, ALTER)?);
        let set = rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
        // SAFETY: the resource lives; librdkafka copies both texts; an error is ours to destroy.
        unsafe {
            let refused = rd_kafka_ConfigResource_add_incremental_config(self.0, name.as_ptr(), set, value.as_ptr());
            if refused.is_null() {
                return Ok(());
            }
            rd_kafka_error_destroy(refused);
        }
        Err(Error::Call { call: ALTER, reason: "a setting lacks its name or value".to_owned() })
    }
}

pub(crate) fn alter_configs(
    client: &Client,
    changes: &BTreeMap<Configurable, BTreeMap<&'static str, String>>,
    timeout: Duration,
) -> Result<(), Error> {
    let mut resources = Vec::with_capacity(changes.len());
    for (configurable, settings) in changes {
        let resource = Resource::new(configurable, ALTER)?;
        settings.iter().try_for_each(|(name, value)| resource.set(name, value))?;
        resources.push(resource);
    }
    let mut pointers: Vec<_> = resources.iter().map(|resource| resource.0).collect();
    let operation = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
    // SAFETY: `resources` outlives the call, which copies them; results are read while `answer` lives; librdkafka's
    // list holds `count` valid pointers.
    unsafe {
        let answer = call(client, ALTER, operation, timeout, |native, options, queue| {
            rd_kafka_IncrementalAlterConfigs(native, pointers.as_mut_ptr(), pointers.len(), options, queue);
        })?;
        let mut count = 0;
        let result = rd_kafka_event_IncrementalAlterConfigs_result(answer.0);
        let results = rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
        (0..count).try_for_each(|index| refusal(*results.add(index), ALTER))
    }
}

/// The settings of each resource, in the order of `resources`. rdkafka wraps this call, too, but refuses what was set
/// for a group.
pub(crate) fn describe_configs(
    client: &Client,
    resources: &[Configurable],
    timeout: Duration,
) -> Result<Vec<Result<Config, Error>>, Error> {
    let resources =
        resources.iter().map(|resource| Resource::new(resource, DESCRIBE)).collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<_> = resources.iter().map(|resource| resource.0).collect();
    let operation = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
    // SAFETY: as in `alter_configs`; names and values are copied out while `answer` lives.
    unsafe {
        let answer = call(client, DESCRIBE, operation, timeout, |native, options, queue| {
            rd_kafka_DescribeConfigs(native, pointers.as_mut_ptr(), pointers.len(), options, queue);
        })?;
        let mut count = 0;
        let result = rd_kafka_event_DescribeConfigs_result(answer.0);
        let results = rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
        let told = (0..count).map(|index| {
            let resource = *results.add(index);
            refusal(resource, DESCRIBE)?;
            let mut count = 0;
            let entries = rd_kafka_ConfigResource_configs(resource, &raw mut count);
            let entry = |index| {
                let entry = *entries.add(index);
                let value = rd_kafka_ConfigEntry_value(entry);
                (!value.is_null()).then(|| (text(rd_kafka_ConfigEntry_name(entry)), text(value)))
            };
            Ok((0..count).filter_map(entry).collect())
        });
        Ok(told.collect())
    }
}

/// # Safety
/// `resource` is a valid pointer into an answer.
unsafe fn refusal(resource: *const rd_kafka_ConfigResource_t, call: &'static str) -> Result<(), Error> {
    // SAFETY: promised by the caller.
    unsafe {
        let code = rd_kafka_ConfigResource_error(resource);
        if code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        let (name, reason) = (rd_kafka_ConfigResource_name(resource), rd_kafka_ConfigResource_error_string(resource));
        Err(Error::refused(call, text(name), code.into(), text(reason)))
    }
}
