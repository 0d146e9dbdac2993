//! The framing of any bytes: what tells the server and the application what a message is, and the first look of `receive`.

use std::cell::RefCell;

use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::What;
use conclave_core::error::Code;
use conclave_core::inspect::{Inspection, Kind, inspect_message};
use conclave_core::keystore::Keystore;
use conclave_core::session::Session;
use openmls::prelude::{ContentType, MlsMessageBodyIn, MlsMessageIn, ProtocolMessage};
use tls_codec::DeserializeBytes;

use crate::choices::{Choices, change};
use crate::meter::metered;
use crate::outcomes::count;
use crate::targets::outsider::samples;

pub const REACHES: &[&str] = &[
    "Message",
    "Proposal",
    "Commit",
    "Welcome",
    "GroupInfo",
    "KeyPackage",
    "refused",
];

thread_local! {
    static NOBODY: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// The first byte decides: the rest as it is, or a genuine message changed by it.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::of(bytes);
    let changed;
    let message = match choices.byte() {
        0x80.. => choices.rest(),
        which => {
            let samples = samples();
            let mut message = samples[usize::from(which) % samples.len()].clone();
            if !choices.is_empty() {
                change(&mut message, &samples, &mut choices);
            }
            changed = message;
            &changed
        }
    };
    let inspected = metered(message.len(), || inspect_message(message));
    match &inspected {
        Ok(inspection) => count(format!("{:?}", inspection.kind)),
        Err(error) if error.code() == Code::MessageInvalid => {
            count("refused");
            count(format!(
                "wire format {:?}",
                message.get(2..4).filter(|format| format[0] == 0 && format[1] < 8)
            ));
        }
        Err(error) => panic!("the inspection of a message fails with {}", error.code().as_str()),
    }
    let inspected = inspected.ok();
    agrees_with_openmls(message, inspected.as_ref());
    agrees_with_receiving(message, inspected.as_ref());
}

/// What both can read they read alike.
fn agrees_with_openmls(message: &[u8], inspected: Option<&Inspection>) {
    let (Ok(read), Some(inspected)) = (MlsMessageIn::tls_deserialize_exact_bytes(message), inspected) else {
        return;
    };
    let is = match read.extract() {
        MlsMessageBodyIn::Welcome(_) => Kind::Welcome,
        MlsMessageBodyIn::KeyPackage(_) => Kind::KeyPackage,
        MlsMessageBodyIn::GroupInfo(info) => {
            assert_eq!(inspected.conversation_id.as_deref(), Some(info.group_id().as_slice()));
            assert_eq!(inspected.epoch, Some(info.epoch().as_u64()));
            Kind::GroupInfo
        }
        MlsMessageBodyIn::PublicMessage(message) => of_group(&message.into(), inspected),
        MlsMessageBodyIn::PrivateMessage(message) => of_group(&message.into(), inspected),
    };
    assert_eq!(is, inspected.kind, "the inspection takes the message for another kind");
}

fn of_group(message: &ProtocolMessage, inspected: &Inspection) -> Kind {
    assert_eq!(
        inspected.conversation_id.as_deref(),
        Some(message.group_id().as_slice())
    );
    assert_eq!(inspected.epoch, Some(message.epoch().as_u64()));
    match message.content_type() {
        ContentType::Application => Kind::Message,
        ContentType::Proposal => Kind::Proposal,
        ContentType::Commit => Kind::Commit,
    }
}

/// Receiving knows the conversation that the inspection tells, without a look at any state.
fn agrees_with_receiving(message: &[u8], inspected: Option<&Inspection>) {
    let mut nobody = NOBODY
        .take()
        .unwrap_or_else(|| Session::new(Keystore::in_memory().expect("memory is there")));
    let another = ReceiveOptions {
        only: Some(b"a conversation that no message is of".to_vec()),
        ..ReceiveOptions::default()
    };
    let batch = [message.to_vec()];
    let received = metered(message.len(), || nobody.receive(&batch, &another));
    let kind = inspected.map(|inspected| inspected.kind);
    match received {
        Err(error) => assert!(
            error.code() == Code::WrongConversation
                && matches!(kind, None | Some(Kind::Message | Kind::Proposal | Kind::Commit)),
            "receiving {kind:?} fails with {}",
            error.code().as_str()
        ),
        Ok(receipt) => match receipt.received.first().map(|received| &received.what) {
            Some(What::Welcome) => assert!(matches!(kind, None | Some(Kind::Welcome)), "{kind:?} is a Welcome"),
            Some(What::Rejected(..) | What::Unreadable(_)) => {}
            other => panic!("a message to nobody is {other:?}"),
        },
    }
    NOBODY.set(Some(nobody));
}
