//! Making, removing and listing buckets, and what S3 says about settings that a bucket has not.
//!
//! Buckets come from the configuration; where it says so (`[s3] create_buckets`), operators make
//! more of them over the API. Such a bucket is its maker's: others reach it only by a pattern
//! that names it, see [`Operations::may_enter`].

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use daybook_domain::BucketName;
use s3s::dto::*;
use s3s::path::check_bucket_name;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::{Operations, denied};
use crate::buckets::Backend;
use crate::error::StoreError;
use crate::grants::Principal;
use crate::local::store::{Bucket as Folder, blocking};
use crate::policy::Access;

/// The most buckets that S3 lists at once, and what it lists if it is not told.
const MAX_BUCKETS: i32 = 10_000;

/// What S3 keeps for itself (S3 user guide, "Bucket naming rules").
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Whoever all objects and buckets belong to, as S3's documents tell it.
pub(super) fn owner() -> Owner {
    Owner {
        display_name: Some("daybook".to_owned()),
        id: Some("daybook".to_owned()),
    }
}

impl Operations {
    /// Refuses unless the bucket is open to the sender: it was configured, or made by this key, or
    /// a pattern of its policy names it. `*` alone is for the configured buckets and a key's own.
    /// Where the key that made it is gone from the configuration, policies alone decide.
    pub(super) fn may_enter(&self, who: &Principal, bucket: &str) -> S3Result<()> {
        let Some(owner) = BucketName::parse(bucket)
            .ok()
            .and_then(|name| self.gateway.buckets.owner(&name))
        else {
            return Ok(());
        };
        if self.is_open(who, bucket, &owner) {
            return Ok(());
        }
        Err(denied(format!(
            "bucket {bucket} was made by key {owner}; others need a pattern that names it"
        )))
    }

    fn is_open(&self, who: &Principal, bucket: &str, owner: &str) -> bool {
        let names = |pattern: &String| pattern.split('/').next() == Some(bucket);
        operator(who) == Some(owner)
            || who.policy.read.iter().any(names)
            || who.policy.write.iter().any(names)
            || !self.gateway.grants.has_operator(owner)
    }

    pub(super) async fn make_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<CreateBucketOutput> {
        let who = self.sender(&req)?;
        let input = req.input;
        let taken = BucketName::parse(input.bucket.clone())
            .ok()
            .filter(|name| self.gateway.buckets.get(name).is_some());
        if let Some(name) = taken {
            return self.already_there(&who, &name);
        }
        let owner = operator(&who).map(str::to_owned);
        let (Some(made), Some(owner)) = (&self.gateway.made, owner) else {
            return Err(s3_error!(
                AccessDenied,
                "buckets are made in the configuration; operators may make them over the API where it says [s3] create_buckets = true"
            ));
        };
        let name = BucketName::parse(input.bucket.clone()).ok();
        let Some(name) = name.filter(|name| is_valid(name.as_str())) else {
            return Err(s3_error!(
                InvalidBucketName,
                "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens"
            ));
        };
        who.check_bucket(Access::Write, &name).map_err(denied)?;
        self.check_settings(&input)?;
        let _turn = made.turn.lock().await;
        if self.gateway.buckets.get(&name).is_some() {
            return self.already_there(&who, &name);
        }
        tracing::info!(bucket = %name, key = owner, "makes a bucket");
        self.make(&name, owner).await?;
        Ok(CreateBucketOutput {
            location: Some(format!("/{name}")),
        })
    }

    /// The folder first; once it is there it is a bucket, also after a crash.
    async fn make(&self, name: &BucketName, owner: String) -> S3Result<()> {
        let (gateway, name) = (Arc::clone(&self.gateway), name.clone());
        let made = blocking(move || {
            let Some(made) = &gateway.made else {
                return Ok(());
            };
            made.make(&name, &owner)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => {
                        let message = "a folder of that name is in the way";
                        StoreError::refused(S3ErrorCode::BucketAlreadyExists, message)
                    }
                    _ => error.into(),
                })?;
            let bucket = gateway.open_made(made, &name).map_err(io::Error::other)?;
            gateway.buckets.add_made(bucket, owner.into());
            Ok(())
        });
        Ok(made.await?)
    }

    /// What S3 says to one who makes a bucket that is there.
    fn already_there(&self, who: &Principal, name: &BucketName) -> S3Result<CreateBucketOutput> {
        let own = match self.gateway.buckets.owner(name) {
            // In us-east-1, and only there, making one's own bucket again is no error.
            Some(owner) if operator(who) == Some(&*owner) => {
                if self.gateway.region == "us-east-1" {
                    return Ok(CreateBucketOutput {
                        location: Some(format!("/{name}")),
                    });
                }
                true
            }
            Some(_) => false,
            None => {
                who.policy.touches(Access::Write, name.as_str())
                    || who.policy.touches(Access::Read, name.as_str())
            }
        };
        if own {
            // Tools such as rclone create the bucket that they copy to and take this for a yes.
            return Err(s3_error!(BucketAlreadyOwnedByYou, "the bucket is there"));
        }
        Err(s3_error!(
            BucketAlreadyExists,
            "the bucket's name is taken by somebody else"
        ))
    }

    fn check_settings(&self, input: &CreateBucketInput) -> S3Result<()> {
        let configuration = input.create_bucket_configuration.as_ref();
        let place = configuration.and_then(|c| c.location_constraint.as_ref());
        if place.is_some_and(|place| {
            !place.as_str().is_empty() && place.as_str() != self.gateway.region
        }) {
            let message = format!("this gateway's region is {}", self.gateway.region);
            let code = S3ErrorCode::IllegalLocationConstraintException;
            return Err(S3Error::with_message(code, message));
        }
        if input.object_lock_enabled_for_bucket == Some(true) {
            return Err(s3_error!(NotImplemented, "there is no object lock"));
        }
        let granted = [
            &input.grant_full_control,
            &input.grant_read,
            &input.grant_read_acp,
            &input.grant_write,
            &input.grant_write_acp,
        ];
        check_acl(
            input.acl.as_ref().map(BucketCannedACL::as_str),
            granted.iter().any(|grant| grant.is_some()),
        )
    }

    pub(super) async fn unmake_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let who = self.principal(&req)?;
        let bucket = self.bucket(&req.input.bucket)?;
        who.check_bucket(Access::Write, &bucket.name)
            .map_err(denied)?;
        let (Some(made), Some(_)) = (&self.gateway.made, self.gateway.buckets.owner(&bucket.name))
        else {
            return Err(denied(format!(
                "the bucket is configured as [buckets.{}] and goes only when that does",
                bucket.name
            )));
        };
        if operator(&who).is_none() {
            return Err(s3_error!(AccessDenied, "functions remove no buckets"));
        }
        let _turn = made.turn.lock().await;
        // Somebody else may have had a turn before.
        let bucket = self.bucket(bucket.name.as_str())?;
        let (gateway, taken) = (Arc::clone(&self.gateway), Arc::clone(&bucket));
        let gone = blocking(move || match &gateway.made {
            Some(made) => Ok(made.take_away(&taken)?),
            None => Ok(None),
        });
        let Some(gone) = gone.await? else {
            return Err(s3_error!(
                BucketNotEmpty,
                "the bucket you tried to delete is not empty"
            ));
        };
        self.gateway.buckets.remove_made(&bucket.name);
        tracing::info!(bucket = %bucket.name, "removed a bucket");
        let removed = blocking(move || Ok(std::fs::remove_dir_all(gone)?)).await;
        if let Err(error) = removed {
            tracing::warn!(bucket = %bucket.name, %error, "what is left of a removed bucket goes at the next start");
        }
        Ok(S3Response::with_status(
            DeleteBucketOutput::default(),
            hyper::StatusCode::NO_CONTENT,
        ))
    }

    /// What went wrong with a write, or that its bucket was removed in the middle of it.
    pub(super) fn unless_gone(&self, bucket: &Arc<Folder>, error: S3Error) -> S3Error {
        let now = self.gateway.buckets.get(&bucket.name);
        match now {
            Some(Backend::Local(now)) if Arc::ptr_eq(&now, bucket) => error,
            _ => s3_error!(NoSuchBucket, "the bucket was removed meanwhile"),
        }
    }

    /// The buckets that the sender may touch.
    pub(super) fn buckets(&self, req: S3Request<ListBucketsInput>) -> S3Result<ListBucketsOutput> {
        let who = self.sender(&req)?;
        let input = req.input;
        let max = input.max_buckets.unwrap_or(MAX_BUCKETS);
        let max = usize::try_from(max)
            .ok()
            .filter(|max| (1..=MAX_BUCKETS as usize).contains(max))
            .ok_or_else(|| s3_error!(InvalidArgument, "max-buckets must be from 1 to 10000"))?;
        let after = input
            .continuation_token
            .as_deref()
            .map(from_token)
            .transpose()?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let listed = |name: &str| {
            name.starts_with(&prefix)
                && after.as_deref().is_none_or(|after| name > after)
                && (who.policy.touches(Access::Read, name)
                    || who.policy.touches(Access::Write, name))
                && self.may_enter(&who, name).is_ok()
        };
        let mut buckets = self.gateway.buckets.all();
        buckets.retain(|bucket| listed(bucket.name().as_str()));
        let more = buckets.len() > max;
        buckets.truncate(max);
        let last = buckets.last().filter(|_| more);
        let next = last.map(|bucket| URL_SAFE_NO_PAD.encode(bucket.name().as_str()));
        let buckets = buckets.iter().map(|bucket| Bucket {
            name: Some(bucket.name().to_string()),
            creation_date: Some(Timestamp::from(bucket.created_at())),
            bucket_region: Some(self.gateway.region.clone()),
        });
        Ok(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(owner()),
            continuation_token: next,
            prefix: input.prefix,
        })
    }

    /// The answer for a setting that the bucket has not.
    pub(super) fn unset<T, O>(
        &self,
        req: &S3Request<T>,
        bucket: &str,
        code: &'static str,
    ) -> S3Result<S3Response<O>> {
        self.seen_bucket(req, bucket)?;
        let code = S3ErrorCode::from_bytes(code.as_bytes())
            .unwrap_or_else(|| S3ErrorCode::Custom(code.into()));
        let mut error = S3Error::with_message(code, "the bucket has no such configuration");
        error.set_status_code(hyper::StatusCode::NOT_FOUND);
        Err(error)
    }
}

/// The name of the operator's key, if the sender is one.
fn operator(who: &Principal) -> Option<&str> {
    who.who.strip_prefix("key ").filter(|_| who.scope.is_none())
}

/// Access lists are there in form only: everything belongs to one owner and policies are in the
/// configuration. What says just that is taken, anything else refused.
pub(super) fn check_acl(canned: Option<&str>, granted: bool) -> S3Result<()> {
    const KNOWN: [&str; 8] = [
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
        "log-delivery-write",
    ];
    match canned {
        Some(acl) if !KNOWN.contains(&acl) => {
            Err(s3_error!(InvalidArgument, "there is no such canned ACL"))
        }
        None | Some("private" | "bucket-owner-full-control") if !granted => Ok(()),
        _ => Err(s3_error!(
            AccessControlListNotSupported,
            "access lists are not supported; what a key may do is in the configuration"
        )),
    }
}

/// The access list that everything has.
pub(super) fn grants() -> Vec<Grant> {
    let owner = owner();
    vec![Grant {
        grantee: Some(Grantee {
            display_name: owner.display_name,
            email_address: None,
            id: owner.id,
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }]
}

/// Whether an access list in a document says no more than [`grants`] does.
pub(super) fn check_policy(policy: Option<&AccessControlPolicy>) -> S3Result<()> {
    let Some(policy) = policy else {
        return Ok(());
    };
    let own = |grant: &Grant| {
        let full = grant
            .permission
            .as_ref()
            .is_some_and(|p| p.as_str() == Permission::FULL_CONTROL);
        let id = grant.grantee.as_ref().and_then(|g| g.id.clone());
        full && id == owner().id
    };
    if policy.grants.iter().flatten().all(own) {
        return Ok(());
    }
    check_acl(None, true)
}

fn is_valid(name: &str) -> bool {
    check_bucket_name(name)
        && !name.contains(".-")
        && !name.contains("-.")
        && !RESERVED_PREFIXES.iter().any(|p| name.starts_with(p))
        && !RESERVED_SUFFIXES.iter().any(|s| name.ends_with(s))
}

fn from_token(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not one of ours"))
}
