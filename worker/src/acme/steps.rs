//! The steps that speak with the authority. Each looks first how things stand there, so that one that was carried out
//! and not written down is not carried out twice. Placing an order is the exception: a worker that dies between the
//! authority's answer and its entry places another.

use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, CertificateIdentifier, ChallengeStatus, ChallengeType, Error, Identifier,
    NewOrder, Order, OrderStatus, RetryPolicy, RevocationReason, RevocationRequest,
};
use jiff::{SignedDuration, Timestamp};
use windlass_core::acme::order::Begun;
use windlass_core::acme::{Entry, Failure, Proof, Step, Window};
use windlass_core::materials::SecretText;
use windlass_core::model::Challenge;

use super::account::Session;
use super::key;
use super::leaf::Leaf;
use super::ledger::Suggestion;
use super::trouble::{self, Trouble, words};

/// How long an authority may take to look, and to sign. What takes longer is asked again later.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(90));

/// Authorities say how often to ask for their suggestions; not all of what they say makes sense.
const SOONEST: SignedDuration = SignedDuration::from_mins(1);
const LATEST: SignedDuration = SignedDuration::from_hours(24);
/// An authority without suggestions may have some later.
const NO_SUGGESTIONS: SignedDuration = SignedDuration::from_hours(6);

impl Session {
    fn failed(&self, step: Step) -> impl Fn(Error) -> Trouble + '_ {
        move |error| trouble::of(error, step, self.transport.again())
    }

    /// Tells the authority what is wanted. `replaces` is the certificate that this one follows (RFC 9773).
    pub(super) async fn place(
        &self,
        begun: &Begun,
        replaces: Option<&Leaf>,
    ) -> Result<Entry, Trouble> {
        let names = begun.names.iter();
        let names: Vec<Identifier> = names
            .map(|name| Identifier::Dns(name.as_str().to_owned()))
            .collect();
        let mut new = NewOrder::new(&names);
        if let Some(profile) = &begun.profile {
            let known: Vec<&str> = self
                .account
                .profiles()
                .map(|profile| profile.name)
                .collect();
            if !known.contains(&profile.as_str()) {
                let has = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                let why = format!(
                    "{} has no profile `{profile}`; it has: {has}",
                    begun.authority
                );
                return Err(Trouble::new(Failure::Refused, why));
            }
            new = new.profile(profile.as_str());
        }
        let id = replaces.and_then(|leaf| CertificateIdentifier::try_from(&leaf.der).ok());
        if let Some(id) = id {
            let following = {
                let mut all = NewOrder::new(&names).replaces(id);
                if let Some(profile) = &begun.profile {
                    all = all.profile(profile.as_str());
                }
                all
            };
            match self.account.new_order(&following).await {
                Ok(order) => {
                    return Ok(Entry::Placed {
                        url: order.url().to_owned(),
                    });
                }
                Err(error) if minds_following(&error) => {}
                Err(error) => return Err(self.failed(Step::Place)(error)),
            }
        }
        let order = self
            .account
            .new_order(&new)
            .await
            .map_err(self.failed(Step::Place))?;
        Ok(Entry::Placed {
            url: order.url().to_owned(),
        })
    }

    /// What the authority will ask for.
    pub(super) async fn proofs(&self, begun: &Begun, url: &str) -> Result<Entry, Trouble> {
        let failed = self.failed(Step::Publish);
        let mut order = self.account.order(url.to_owned()).await.map_err(&failed)?;
        let mut proofs = Vec::new();
        let mut all = order.authorizations();
        while let Some(authorization) = all.next().await {
            let mut authorization = authorization.map_err(&failed)?;
            let named = authorization.identifier().to_string();
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => {
                    let why = format!("the authority calls its question about {named} {other:?}");
                    return Err(Trouble::new(Failure::OrderLost, why));
                }
            }
            let name = begun.names.iter().find(|name| name.as_str() == named);
            let challenge = authorization.challenge(kind(begun));
            let (Some(name), Some(challenge)) = (name, challenge) else {
                let how = match begun.challenge {
                    Challenge::Http => "over HTTP",
                    Challenge::Dns => "through DNS",
                };
                let why = format!("the authority does not offer to prove {named} {how}");
                return Err(Trouble::new(Failure::Refused, why));
            };
            proofs.push(Proof {
                name: name.clone(),
                token: challenge.token.clone(),
                answer: match begun.challenge {
                    Challenge::Http => challenge.key_authorization().as_str().to_owned(),
                    Challenge::Dns => challenge.key_authorization().dns_value(),
                },
            });
        }
        Ok(Entry::Published { proofs })
    }

    /// Has the authority look, and waits until it is convinced.
    pub(super) async fn prove(&self, begun: &Begun, url: &str) -> Result<Entry, Trouble> {
        let order = self.account.order(url.to_owned()).await;
        self.convince(begun, order.map_err(self.failed(Step::Prove))?)
            .await
    }

    /// The same for an order as it was seen before, which may have gone on since.
    pub(super) async fn convince(&self, begun: &Begun, mut order: Order) -> Result<Entry, Trouble> {
        let failed = self.failed(Step::Prove);
        match order.state().status {
            OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid => {
                return Ok(Entry::Ready);
            }
            OrderStatus::Invalid => return Err(self.unproven(&mut order, None).await),
            OrderStatus::Pending => {}
        }
        let mut looks = begun.names.len();
        while let Err(error) = have_it_look(begun, &mut order).await {
            let trouble = failed(error);
            let unproven = matches!(
                &trouble,
                Trouble::Failed {
                    failure: Failure::Unproven,
                    ..
                }
            );
            if looks == 0 || !unproven {
                return Err(trouble);
            }
            looks -= 1;
            // A worker that died has asked for the same, and the authority came to its end with this name between our
            // look at the question and our asking: it looks once only. Another look shows what it found.
            let again = self.account.order(order.url().to_owned()).await;
            order = again.map_err(&failed)?;
        }
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Invalid) => Err(self.unproven(&mut order, None).await),
            Ok(_) => Ok(Entry::Ready),
            Err(error) => {
                let trouble = failed(error);
                match trouble {
                    Trouble::Failed {
                        failure: Failure::Unproven,
                        why,
                    } => Err(self.unproven(&mut order, Some(why)).await),
                    other => Err(other),
                }
            }
        }
    }

    /// Which names did not convince, and why: the order itself often says nothing.
    async fn unproven(&self, order: &mut Order, said: Option<String>) -> Trouble {
        let mut reasons = Vec::new();
        let mut all = order.authorizations();
        while let Some(Ok(mut authorization)) = all.next().await {
            if authorization.refresh().await.is_err() {
                continue;
            }
            let name = authorization.identifier().to_string();
            let problems = authorization
                .challenges
                .iter()
                .filter_map(|challenge| challenge.error.as_ref());
            reasons.extend(problems.map(|problem| format!("{name}: {}", words(problem))));
        }
        let why = match (reasons.is_empty(), said) {
            (false, _) => reasons.join("; "),
            (true, Some(said)) => said,
            (true, None) => {
                "the authority declares the order invalid and does not say why".to_owned()
            }
        };
        Trouble::new(Failure::Unproven, why)
    }

    /// Sends the request to sign.
    pub(super) async fn finalize(
        &self,
        begun: &Begun,
        url: &str,
        key: &SecretText,
    ) -> Result<Entry, Trouble> {
        let failed = self.failed(Step::Finalize);
        let mut order = self.account.order(url.to_owned()).await.map_err(&failed)?;
        match order.state().status {
            OrderStatus::Ready => {}
            OrderStatus::Processing | OrderStatus::Valid => return Ok(Entry::Finalized),
            other => {
                let why = format!("the authority calls the order {other:?}");
                return Err(Trouble::new(Failure::OrderLost, why));
            }
        }
        let request = key::request(key, &begun.names).map_err(Trouble::local)?;
        order.finalize_csr(&request).await.map_err(&failed)?;
        Ok(Entry::Finalized)
    }

    /// When the authority wants the certificate renewed, and when to ask again. `None`: it did not say.
    pub(super) async fn suggestion(&self, leaf: &Leaf) -> Option<Suggestion> {
        let none = |again: SignedDuration| {
            Some(Suggestion {
                serial: leaf.serial.clone(),
                window: None,
                again: Timestamp::now().checked_add(again).ok()?,
            })
        };
        let Ok(id) = CertificateIdentifier::try_from(&leaf.der) else {
            return none(LATEST);
        };
        let (info, wait) = match self.account.renewal_info(&id).await {
            Ok(told) => told,
            Err(Error::Unsupported(_)) => return none(NO_SUGGESTIONS),
            Err(error) => {
                tracing::debug!(%error, "no suggestion");
                return None;
            }
        };
        let wait = SignedDuration::try_from(wait).ok()?.clamp(SOONEST, LATEST);
        let time = |time: i64| Timestamp::from_second(time).ok();
        let window = Window {
            start: time(info.suggested_window.start.unix_timestamp())?,
            end: time(info.suggested_window.end.unix_timestamp())?,
        };
        Some(Suggestion {
            // A window that ends before it begins is none (RFC 9773).
            window: Some(window).filter(|window| window.start < window.end),
            ..none(wait)?
        })
    }

    pub(super) async fn revoke(
        &self,
        leaf: &Leaf,
        reason: RevocationReason,
    ) -> Result<(), Trouble> {
        let request = RevocationRequest {
            certificate: &leaf.der,
            reason: Some(reason),
        };
        let revoked = self.account.revoke(&request).await;
        match revoked {
            Err(Error::Api(problem))
                if problem
                    .r#type
                    .as_deref()
                    .is_some_and(|kind| kind.ends_with(":alreadyRevoked")) =>
            {
                Ok(())
            }
            revoked => revoked.map_err(self.failed(Step::Place)),
        }
    }

    /// Waits for the signature, and fetches certificate and chain.
    pub(super) async fn download(&self, url: &str) -> Result<Entry, Trouble> {
        let failed = self.failed(Step::Download);
        let mut order = self.account.order(url.to_owned()).await.map_err(&failed)?;
        if order.state().status == OrderStatus::Invalid {
            return Err(Trouble::new(
                Failure::OrderLost,
                "the authority declares the order invalid",
            ));
        }
        let chain = order.poll_certificate(&PATIENCE).await.map_err(&failed)?;
        Ok(Entry::Downloaded { chain })
    }
}

/// Says that the answers are in their places, where the authority still waits for that.
async fn have_it_look(begun: &Begun, order: &mut Order) -> Result<(), Error> {
    let mut all = order.authorizations();
    while let Some(authorization) = all.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        if let Some(mut challenge) = authorization.challenge(kind(begun))
            && challenge.status == ChallengeStatus::Pending
        {
            challenge.set_ready().await?;
        }
    }
    Ok(())
}

fn kind(begun: &Begun) -> ChallengeType {
    match begun.challenge {
        Challenge::Http => ChallengeType::Http01,
        Challenge::Dns => ChallengeType::Dns01,
    }
}

/// The authority takes the order, but not that it follows another: it is placed without saying so.
fn minds_following(error: &Error) -> bool {
    match error {
        Error::Unsupported(_) | Error::Other(_) => true,
        Error::Api(problem) => {
            let kind = problem.r#type.as_deref().unwrap_or_default();
            // `unauthorized`: it came from another account, which was lost since.
            [":alreadyReplaced", ":malformed", ":unauthorized"]
                .iter()
                .any(|own| kind.ends_with(own))
        }
        _ => false,
    }
}
