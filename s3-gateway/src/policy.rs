//! What a key may touch: patterns over `bucket/key`, as they stand in the configuration.

use daybook_domain::{BucketName, ObjectKey};

/// Read and write patterns such as `inbox/*`. A `*` stands for any text, slashes included;
/// nothing else is special.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What may be read and listed.
    pub read: Vec<String>,
    /// What may be written and deleted.
    pub write: Vec<String>,
}

/// What a request wants to do with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Access {
    /// The word, which is also the name of the policy's line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
        }
    }
}

impl Policy {
    /// Whether the policy may allow a write to some object of the bucket.
    pub fn may_write(&self, bucket: &BucketName) -> bool {
        self.touches(Access::Write, bucket.as_str())
    }

    /// Whether the policy allows the access to the object.
    pub(crate) fn allows(&self, access: Access, bucket: &str, key: &str) -> bool {
        let path = format!("{bucket}/{key}");
        self.patterns(access).iter().any(|p| matches(p, &path))
    }

    /// Whether the policy may allow the access to some object of the bucket.
    pub(crate) fn touches(&self, access: Access, bucket: &str) -> bool {
        self.may_touch(access, bucket, "")
    }

    /// The same for objects whose keys begin so.
    pub(crate) fn may_touch(&self, access: Access, bucket: &str, prefix: &str) -> bool {
        let path = format!("{bucket}/{prefix}");
        self.patterns(access).iter().any(|pattern| {
            match pattern.split_once('*') {
                // The text before the first star is either within the prefix or still open.
                Some((fixed, _)) => fixed.starts_with(&path) || path.starts_with(fixed),
                None => pattern.starts_with(&path),
            }
        })
    }

    /// Whether the policy allows the access to all objects of the bucket.
    pub(crate) fn covers(&self, access: Access, bucket: &str) -> bool {
        let path = format!("{bucket}/");
        let covers = |pattern: &String| {
            let fixed = pattern.strip_suffix('*');
            fixed.is_some_and(|fixed| !fixed.contains('*') && path.starts_with(fixed))
        };
        self.patterns(access).iter().any(covers)
    }

    /// What the keys of the bucket begin with to which the policy may allow the access, in order;
    /// none of it begins with another.
    pub(crate) fn key_prefixes(&self, access: Access, bucket: &str) -> Vec<String> {
        let path = format!("{bucket}/");
        let fixed = self.patterns(access).iter().filter_map(|pattern| {
            let (fixed, open) = match pattern.split_once('*') {
                Some((fixed, _)) => (fixed, true),
                None => (pattern.as_str(), false),
            };
            match fixed.strip_prefix(&path) {
                Some(within) => Some(within.to_owned()),
                None => (open && path.starts_with(fixed)).then(String::new),
            }
        });
        let mut prefixes: Vec<String> = fixed.collect();
        prefixes.sort_unstable();
        prefixes.dedup_by(|next, kept| next.starts_with(kept.as_str()));
        prefixes
    }

    /// What a refusal says: who may not do what, and the line that would allow it.
    pub(crate) fn refusal(
        who: &str,
        access: Access,
        bucket: &BucketName,
        key: Option<&ObjectKey>,
    ) -> String {
        let verb = access.as_str();
        match key {
            Some(key) => {
                format!("{who} may not {verb} {bucket}/{key}: add {verb} = [\"{bucket}/*\"]")
            }
            None => format!("{who} may not {verb} {bucket}: add {verb} = [\"{bucket}/*\"]"),
        }
    }

    fn patterns(&self, access: Access) -> &[String] {
        match access {
            Access::Read => &self.read,
            Access::Write => &self.write,
        }
    }
}

/// Whether the text matches the pattern. Linear: a later star makes earlier ones final.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests;
