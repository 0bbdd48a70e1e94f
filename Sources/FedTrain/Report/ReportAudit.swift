import DP
import Models
import Sodium

/// Checks a run's ledger and report against each other, without trusting whoever wrote them.
///
/// The ledger's chain and signatures are verified, the report is made again from the ledger, and all
/// bytes are compared; the signature ties the three files together. A change of any byte of any of the
/// four files gives a finding. What the audit cannot see is a ledger that was false when it was written.
public struct ReportAudit: Sendable {
    public enum File: String, Sendable, CaseIterable {
        case ledger
        case json = "JSON report"
        case html = "HTML report"
        case signature
    }

    /// One reason why the run does not verify.
    public struct Finding: Sendable, Hashable, CustomStringConvertible {
        public let file: File
        /// Field path, line or byte; "" for the whole file.
        public let place: String
        public let what: String

        public var description: String {
            "\(file.rawValue)\(place.isEmpty ? "" : ", \(place)"): \(what)"
        }
    }

    /// What the files must be, or why the ledger gives no answer.
    private enum Expectation: Sendable {
        case files(json: [UInt8], document: JSON, html: [UInt8], key: VerifyingKey, version: String)
        case refused(String)
    }

    private let ledger: Digest
    private let expectation: Expectation

    /// Verifies the ledger and makes its report again.
    ///
    /// - Parameter key: the key that must have signed; nil accepts the one that the ledger names.
    public init(ledger bytes: [UInt8], expecting key: VerifyingKey? = nil) {
        ledger = .of(bytes)
        do throws(ReportError) {
            let verified: Ledger
            do throws(LedgerError) {
                verified = try Ledger.verify(bytes, expecting: key)
            } catch {
                throw .ledger(error)
            }
            let report = try PrivacyReport(verified)
            let json = report.json()
            // This program's own JSON is JSON.
            expectation = .files(
                json: json, document: try! JSON.parse(json), html: report.html(), key: verified.key,
                version: verified.plan.codeVersion)
        } catch {
            expectation = .refused("\(error)")
        }
    }

    /// Verifies a run's four files.
    /// - Returns: the findings; none if everything verifies.
    public static func verify(
        ledger: [UInt8], json: [UInt8], html: [UInt8], signature: [UInt8],
        expecting key: VerifyingKey? = nil
    ) -> [Finding] {
        ReportAudit(ledger: ledger, expecting: key)
            .findings(json: json, html: html, signature: signature)
    }

    /// Compares the report's files with what the ledger gives.
    public func findings(json: [UInt8], html: [UInt8], signature: [UInt8]) -> [Finding] {
        switch expectation {
        case .refused(let reason):
            return [Finding(file: .ledger, place: "", what: reason)]
        case .files(let expectedJSON, let document, let expectedHTML, let key, let version):
            var findings = [
                Self.compareJSON(expected: expectedJSON, document, found: json),
                Self.compareText(expected: expectedHTML, found: html),
            ].compactMap(\.self)
            if !findings.isEmpty, version != FedTrainVersion.text {
                findings.append(
                    Finding(
                        file: .ledger, place: "plan",
                        what:
                            "written by fedtrain \(version), this is \(FedTrainVersion.text): another version may "
                            + "word a report otherwise; audit it with the one that made it"))
            }
            return findings + check(signature, json: json, html: html, key: key)
        }
    }

    private static func compareJSON(expected: [UInt8], _ own: JSON, found: [UInt8]) -> Finding? {
        guard expected != found else { return nil }
        let document: JSON
        do throws(JSONError) {
            document = try JSON.parse(found)
        } catch {
            return Finding(file: .json, place: "byte \(error.offset)", what: "not JSON: \(error.reason)")
        }
        if let difference = JSONDifference(expected: own, found: document) {
            return Finding(
                file: .json, place: difference.path.isEmpty ? "document" : difference.path,
                what: "the ledger gives \(difference.expected), the report has \(difference.found)")
        }
        return Finding(
            file: .json, place: "byte \(firstDifference(expected, found))",
            what: "the values are those of the ledger, but spelled in another way")
    }

    private static func compareText(expected: [UInt8], found: [UInt8]) -> Finding? {
        guard expected != found else { return nil }
        let offset = firstDifference(expected, found)
        let line = 1 + expected.prefix(offset).count { $0 == UInt8(ascii: "\n") }
        let end = found.count == offset ? "the file ends there" : "the ledger gives other text there"
        return Finding(file: .html, place: "line \(line), byte \(offset)", what: end)
    }

    private func check(
        _ bytes: [UInt8], json: [UInt8], html: [UInt8], key: VerifyingKey
    ) -> [Finding] {
        func finding(_ what: String) -> Finding { Finding(file: .signature, place: "", what: what) }
        guard let signature = ReportSignature(fileBytes: bytes) else {
            return [finding("not a signature file of this version, or not in its only spelling")]
        }
        guard signature.key == key else {
            return [finding("signed by another key than the ledger")]
        }
        guard signature.isGenuine else {
            return [finding("the signature is not the key's over these digests")]
        }
        var findings: [Finding] = []
        if signature.ledger != ledger { findings.append(finding("made for another state of the ledger")) }
        if signature.json != .of(json) { findings.append(finding("made for another JSON report")) }
        if signature.html != .of(html) { findings.append(finding("made for another HTML report")) }
        return findings
    }

    private static func firstDifference(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var index = 0
        while index < left.count, index < right.count, left[index] == right[index] { index += 1 }
        return index
    }
}
