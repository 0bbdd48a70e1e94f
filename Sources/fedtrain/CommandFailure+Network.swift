import FedTrain
import SecureAgg
import Service

extension CommandFailure {
    /// Errors of a networked federation; nil for any other.
    init?(network error: any Error) {
        switch error {
        case let error as EnrolmentError: self.init(enrolment: error)
        case let error as ClientFailure: self.init(client: error)
        case let error as RosterError:
            self.init(.identity, "\(error)", privacy: "nothing was sent or spent")
        case let error as ServerRunError:
            switch error {
            case .planChanged(let run):
                self.init(
                    .state,
                    "the run was started with another plan: federation.yaml or the base model changed",
                    at: run, privacy: "nothing was spent by this command",
                    hint: "put both back, or use a new workspace for other people's data")
            case .stateUnreadable(let path):
                self.init(
                    .state, "the state to continue from is damaged or missing", at: path,
                    privacy: "nothing was spent by this command",
                    hint: "restore the file from a copy of the workspace")
            }
        case let error as BackupError: self.init(backup: error)
        case let error as ServiceStoreError:
            switch error {
            case .unusable(let path, let detail):
                self.init(
                    .state, "the server's store cannot be used: \(detail)", at: path,
                    privacy: "no round was opened by this command",
                    hint: "free some space, or restore the file from a copy; the ledger is a file of its own")
            case .noSpace(let path):
                self.init(
                    .inputOutput, "the disk is full", at: path,
                    privacy: "nothing was opened that is not in the ledger",
                    hint: "free some space; the same command continues")
            case .laterVersion(let path):
                self.init(
                    .state, "the server's store was made by a later version of fedtrain", at: path,
                    hint: "run that version")
            }
        default:
            let text = "\(error)"
            guard text.contains("Address already in use") || text.contains("errno: 98") else { return nil }
            self.init(
                .unreachable, "another program listens at this address", privacy: "nothing was spent",
                hint: "choose another: fedtrain serve --listen host:port")
        }
    }

    private init(enrolment error: EnrolmentError) {
        switch error {
        case .malformed(let file, let kind):
            self.init(.badInput, "this is no \(kind), or a damaged one", at: file)
        case .badSignature(let file):
            self.init(
                .identity, "its signature does not belong to it", at: file,
                privacy: "nothing was enrolled or sent", hint: "get the file again from its maker")
        case .wrongAuthority(let file):
            self.init(
                .identity, "it is signed by another authority than the key given", at: file,
                hint: "give the authority's own key: --authority FILE")
        case .nameTaken(let name):
            self.init(
                .state, "a client of this name is enrolled", at: name,
                hint: "revoke it first, or ask for another name")
        case .keyTaken(let name):
            self.init(.state, "this key belongs to `\(name)`; a key is enrolled once", at: name)
        case .unknownName(let name):
            self.init(
                .missingInput, "no active client has this name", at: name, hint: "fedtrain roster list")
        case .notEnrolled(let fingerprint):
            self.init(
                .identity, "the server's roster does not have this key", at: fingerprint,
                privacy: "nothing was trained or spent",
                hint: "ask the authority: fedtrain roster request NAME --key FILE")
        case .wrongServer(let detail):
            self.init(
                .identity, "this is not the server of the enrolment file: \(detail)",
                privacy: "no record, key or update was sent",
                hint: "ask the operator for the present enrolment file, over a channel you trust")
        case .rosterRolledBack(let epoch, let seen):
            self.init(
                .verification,
                epoch == seen
                    ? "the server shows another edition \(epoch) of the roster than the one seen before"
                    : "the server shows edition \(epoch) of the roster; edition \(seen) was seen before",
                privacy: "nothing was trained or spent",
                hint: "ask the authority which edition holds: fedtrain roster list")
        case .fingerprintDiffers(let expected, let found):
            self.init(
                .identity, "the fingerprint is `\(found)`, not `\(expected)`",
                privacy: "nothing was enrolled or sent", hint: "ask the other side to read it again")
        }
    }

    private init(backup error: BackupError) {
        let privacy = "nothing was copied, restored or spent"
        switch error {
        case .workspaceBusy:
            self.init(
                .tryAgain, "the workspace changed all the time", privacy: privacy,
                hint: "the same command again")
        case .targetExists(let path):
            self.init(
                .state, "there is something already; a workspace is never overwritten", at: path,
                privacy: privacy,
                hint: "move it away first: its ledger may hold more than the copy's")
        case .damaged(let path):
            self.init(
                .verification, "this file is not the one that was copied", at: path, privacy: privacy,
                hint: "use another copy")
        case .runIsOver(let run):
            self.init(
                .state, "run \(run) is over in the copy; no round follows its last one", privacy: privacy,
                hint: "--nothing-since, if no other run was begun")
        case .roundIsPast(let round, let known):
            self.init(
                .usage, "the copy itself knows of round \(known), which is after round \(round)",
                privacy: privacy, hint: "--latest-round \(known) or later")
        }
    }

    private init(client failure: ClientFailure) {
        switch failure {
        case .unreachable(let url, let seconds, let hadBegun, let detail):
            self.init(
                hadBegun ? .tryAgain : .unreachable, "no answer for \(seconds) s: \(detail)", at: url,
                privacy: hadBegun
                    ? "this client's ledger has what was spent" : "nothing was trained or spent",
                hint: hadBegun
                    ? "the same command continues" : "is the server running, and the address right?")
        case .refused(let problem):
            let status: ExitStatus =
                switch problem.kind {
                case .badSignature, .unknownIdentity, .revoked, .expired, .wrongServer, .clockSkew: .identity
                case .ended: .state
                case .overloaded, .tooManyRequests: .tryAgain
                default: .peer
                }
            self.init(
                status, "the server refused: \(problem.detail)", at: problem.kind.rawValue,
                privacy: "no sum was opened with this client in it",
                hint: Self.hint(for: problem.kind))
        case .serverBroke(let detail):
            self.init(
                .peer, "the server broke the protocol: \(detail)",
                privacy: "this client left before anything of it could be opened",
                hint: "tell the operator; do not join again before it is explained")
        case .planDiffers(let here, let there):
            self.init(
                .verification,
                "the run's terms give the plan \(here.prefix(16))… here, the server names "
                    + "\(there.prefix(16))…",
                privacy: "nothing was trained or spent",
                hint: "both sides must run the same version of fedtrain")
        case .identityInUse:
            self.init(
                .state, "another process takes part under this identity",
                privacy: "this client's ledger has what was spent", hint: "stop one of the two")
        }
    }

    private static func hint(for kind: Problem.Kind) -> String {
        switch kind {
        case .clockSkew: "set this machine's clock"
        case .revoked, .expired, .unknownIdentity: "ask the authority to approve a new request"
        case .wrongServer: "ask the operator for the present enrolment file"
        default: "see the server's log"
        }
    }
}
