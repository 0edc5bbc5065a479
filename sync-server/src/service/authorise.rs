//! Who may ask what: one pure function, every pair spelt out, closed where nothing opens it.

use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::{AdminCommand, AdminRequest};
use bhyt_core::sync::messages::{Activate, Enrol, HandBack, Readmit, Refusal, Request, SyncTerminal};
use bhyt_core::sync::operators::OperatorRole;
use bhyt_core::sync::personal::SyncPersonal;

use super::principal::Principal;
use super::values::{DeviceV2, TerminalV1};
use super::values_operators::OperatorV2;
use super::wallet_sync::WalletSync;

/// A request that its asker may make, with who asks. Only [`authorise`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit<'a> {
    /// A phone may try a one-time code.
    Activate(Box<Activate>),
    /// A terminal may try a one-time token.
    Enrol(&'a Enrol),
    /// A phone may sync the members it holds.
    Wallet(KeyId, &'a DeviceV2, WalletSync),
    /// A terminal may sync.
    Terminal(KeyId, &'a TerminalV1, &'a SyncTerminal),
    /// A phone may edit the documents of the members it holds.
    Personal(KeyId, &'a DeviceV2, &'a SyncPersonal),
    /// A phone may hand back what it has of a member that it holds.
    HandBack(&'a DeviceV2, &'a HandBack),
    /// A phone may show that it held a card; whether anything was forgotten, the service knows.
    Readmit(&'a Readmit),
    /// An operator may command this.
    Command(KeyId, &'a AdminRequest),
}

/// Decides whether `principal` may make this request.
///
/// # Errors
/// [`Refusal::NotAuthorised`] for everything that is not permitted.
pub fn authorise<'a>(principal: &'a Principal, request: &'a Request) -> Result<Permit<'a>, Refusal> {
    match (principal, request) {
        (Principal::Stranger | Principal::Device(..), Request::Activate(activate)) => {
            Ok(Permit::Activate(Box::new(activate.any_key())))
        }
        (Principal::Stranger | Principal::Device(..), Request::ActivateP256(activate)) => {
            Ok(Permit::Activate(Box::new(activate.any_key())))
        }
        // A terminal whose answer was lost asks again.
        (Principal::Stranger | Principal::Terminal(..), Request::Enrol(enrol)) => Ok(Permit::Enrol(enrol)),
        (Principal::Device(id, device), Request::SyncWallet(sync)) => {
            Ok(Permit::Wallet(*id, device, sync.into()))
        }
        (Principal::Device(id, device), Request::SyncFeeds(sync)) => {
            Ok(Permit::Wallet(*id, device, sync.into()))
        }
        (Principal::Device(_, device), Request::HandBack(handed)) => Ok(Permit::HandBack(device, handed)),
        (Principal::Stranger | Principal::Device(..), Request::Readmit(shown)) => Ok(Permit::Readmit(shown)),
        (Principal::Device(id, device), Request::SyncPersonal(sync)) => {
            Ok(Permit::Personal(*id, device, sync))
        }
        (Principal::Terminal(id, terminal), Request::SyncTerminal(sync)) => {
            Ok(Permit::Terminal(*id, terminal, sync))
        }
        (Principal::Operator(id, operator), Request::Admin(request)) => {
            match may_command(operator, &request.command) {
                true => Ok(Permit::Command(*id, request)),
                false => Err(Refusal::NotAuthorised),
            }
        }
        (
            Principal::Stranger
            | Principal::Device(..)
            | Principal::Terminal(..)
            | Principal::Operator(..)
            | Principal::Retired,
            Request::Activate(_)
            | Request::Enrol(_)
            | Request::SyncWallet(_)
            | Request::SyncTerminal(_)
            | Request::Admin(_)
            | Request::ActivateP256(_)
            | Request::HandBack(_)
            | Request::SyncPersonal(_)
            | Request::Readmit(_)
            | Request::SyncFeeds(_),
        ) => Err(Refusal::NotAuthorised),
    }
}

fn may_command(operator: &OperatorV2, command: &AdminCommand) -> bool {
    use OperatorRole::{Administrator, Auditor, Enroller, Registrar};
    let permitted: &[OperatorRole] = match command {
        AdminCommand::ImportMembers(_)
        | AdminCommand::ImportCards(_)
        | AdminCommand::ImportRecords(_)
        | AdminCommand::IssueCard(_)
        | AdminCommand::ChangeCard { .. }
        | AdminCommand::ReplaceCard { .. }
        | AdminCommand::EraseMember { .. }
        | AdminCommand::KeepMember(_) => &[Registrar],
        AdminCommand::MakeDeviceCode(_)
        | AdminCommand::RetireDevice(_)
        | AdminCommand::MakeTerminalToken(_)
        | AdminCommand::RetireTerminal(_)
        | AdminCommand::AddGrant(_)
        | AdminCommand::RevokeGrant { .. } => &[Enroller],
        AdminCommand::ShowMember(_) | AdminCommand::ShowCard(_) => &[Registrar, Auditor],
        AdminCommand::ListDevices(_) | AdminCommand::ListTerminals(_) | AdminCommand::ListGrants(_) => {
            &[Enroller, Auditor]
        }
        AdminCommand::Backup | AdminCommand::ChangeOperators(_) => &[Administrator],
        // Whoever reads the trail has to know whose keys it names.
        AdminCommand::ListOperators => &[Administrator, Auditor],
        AdminCommand::ShowAudit(_) => &[Auditor],
        AdminCommand::ExportMember(_) => &[Registrar],
        AdminCommand::ListErasures => &[Registrar, Auditor, Administrator],
        AdminCommand::ShowStatus => &OperatorRole::ALL,
    };
    permitted.iter().any(|role| operator.may(*role))
}
