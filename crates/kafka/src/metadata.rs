//! The metadata of committed offsets, read without trusting whoever committed them.
#![expect(unsafe_code, reason = "rdkafka 0.39 panics over metadata that is not UTF-8")]

use std::slice;

use rdkafka::TopicPartitionList;

/// What stands beside each offset of a list, in its order; empty where that is not UTF-8, or nothing.
pub fn metadata(list: &TopicPartitionList) -> Vec<String> {
    let elements = list.ptr();
    // SAFETY: `list` owns what the pointer leads to, and lends it for as long as this function runs. librdkafka keeps
    // `cnt` elements at `elems`, and `metadata_size` bytes at the `metadata` of each, or none behind a null pointer.
    unsafe {
        let (first, count) = ((*elements).elems, usize::try_from((*elements).cnt).unwrap_or_default());
        let elements = if first.is_null() { &[] } else { slice::from_raw_parts(first, count) };
        elements.iter().map(|element| text(element.metadata.cast(), element.metadata_size)).collect()
    }
}

/// # Safety
///
/// There must be so many bytes at `bytes`, unless it is null.
unsafe fn text(bytes: *const u8, size: usize) -> String {
    if bytes.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    let bytes = unsafe { slice::from_raw_parts(bytes, size) };
    str::from_utf8(bytes).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use rdkafka::Offset;

    use super::*;

    #[test]
    fn what_is_not_utf_8_counts_as_nothing_and_the_rest_is_read() {
        let mut list = TopicPartitionList::new();
        for (partition, metadata) in [(0, Some("tool")), (1, None), (2, Some("1:7:1:AAAA"))] {
            let mut element = list.add_partition("topic", partition);
            element.set_offset(Offset::Offset(7)).expect("an offset");
            if let Some(metadata) = metadata {
                element.set_metadata(metadata);
            }
        }
        assert_eq!(metadata(&list), ["tool", "", "1:7:1:AAAA"]);
        // SAFETY: the first element has four bytes of metadata, which nobody else looks at.
        unsafe { (*(*list.ptr()).elems).metadata.cast::<u8>().write(0xff) };
        assert_eq!(metadata(&list), ["", "", "1:7:1:AAAA"]);
        assert!(metadata(&TopicPartitionList::new()).is_empty());
    }
}
