/// Reads a `tokenizer.json`; refuses by name what this version does not know. This file: the model and
/// the added tokens. The other components are in an extension.
struct TokenizerReader {
    /// Far above any vocabulary in use; bounds the tables that an id sizes.
    static let idMax = 1 << 24

    let file: String

    func malformed(_ reason: String) -> CheckpointError {
        CheckpointError(.malformed, file: file, reason)
    }

    func unsupported(_ component: String) -> CheckpointError {
        CheckpointError(
            .unsupported, file: file, "\(component) is not supported",
            hint: "Use a model with a byte-level or byte-fallback BPE tokenizer")
    }

    func model(_ json: JSON?) throws(CheckpointError) -> BPEModel {
        guard let json, json.members != nil else { throw malformed("has no model") }
        // Old files leave the type out; only BPE has merges.
        let type = json["type"]?.string ?? (json["merges"] == nil ? "unknown" : "BPE")
        guard type == "BPE" else { throw unsupported("model \(type)") }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let value = json[key]?.string, !value.isEmpty { throw unsupported("model BPE with \(key)") }
        }
        if let dropout = json["dropout"]?.number, dropout != 0 { throw unsupported("model BPE with dropout") }
        let ids = try vocabulary(json["vocab"])
        var options = BPEModel.Options()
        if let unknown = json["unk_token"]?.string {
            guard let id = ids[ByteString(unknown)] else {
                throw malformed("unk_token \(unknown) is not in the vocabulary")
            }
            options.unknownID = id
        }
        options.fusesUnknown = json["fuse_unk"]?.boolean ?? false
        options.fallsBackToBytes = json["byte_fallback"]?.boolean ?? false
        options.ignoresMerges = json["ignore_merges"]?.boolean ?? false
        return BPEModel(ids: ids, merges: try merges(json["merges"], ids), options: options)
    }

    private func vocabulary(_ json: JSON?) throws(CheckpointError) -> [ByteString: Int32] {
        guard let members = json?.members else { throw malformed("the model has no vocab") }
        var ids = [ByteString: Int32](minimumCapacity: members.count)
        var used = Set<Int>(minimumCapacity: members.count)
        for member in members {
            guard let id = member.value.integer, (0...Self.idMax).contains(id) else {
                throw malformed("the id of token \(member.key) is not a whole number from 0 to \(Self.idMax)")
            }
            guard used.insert(id).inserted else { throw malformed("id \(id) belongs to two tokens") }
            guard ids.updateValue(Int32(id), forKey: ByteString(member.key)) == nil else {
                throw malformed("token \(member.key) is in the vocabulary twice")
            }
        }
        return ids
    }

    private func merges(
        _ json: JSON?, _ ids: [ByteString: Int32]
    ) throws(CheckpointError) -> [(left: Int32, right: Int32, id: Int32)] {
        guard let lines = json?.array else { throw malformed("the model has no merges") }
        var merges: [(left: Int32, right: Int32, id: Int32)] = []
        merges.reserveCapacity(lines.count)
        for (index, line) in lines.enumerated() {
            let parts: [String]
            if let text = line.string {
                if text.hasPrefix("#version") { continue }
                parts = text.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false)
                    .map { String($0) }
            } else {
                parts = line.array?.compactMap(\.string) ?? []
            }
            guard parts.count == 2 else { throw malformed("merge \(index) does not name two tokens") }
            guard let left = ids[ByteString(parts[0])], let right = ids[ByteString(parts[1])],
                let id = ids[ByteString(parts[0] + parts[1])]
            else { throw malformed("merge \(index) uses a token that is not in the vocabulary") }
            merges.append((left, right, id))
        }
        return merges
    }

    func addedTokens(_ json: JSON?, model: BPEModel) throws(CheckpointError) -> [AddedToken] {
        guard let json, !json.isNull else { return [] }
        guard let entries = json.array else { throw malformed("added_tokens is not a list") }
        var tokens: [AddedToken] = []
        for entry in entries {
            guard let content = entry["content"]?.string, !content.isEmpty,
                let id = entry["id"]?.integer, (0...Self.idMax).contains(id)
            else { throw malformed("an added token lacks content or id") }
            let known = model.id(of: content)
            let holder = model.tokens.indices.contains(id) ? model.tokens[id] : nil
            guard known == nil || known == Int32(id), holder == nil || known == Int32(id) else {
                throw malformed("added token \(content) and the vocabulary disagree about id \(id)")
            }
            let isSpecial = entry["special"]?.boolean ?? false
            tokens.append(
                AddedToken(
                    id: Int32(id), content: content, isSpecial: isSpecial,
                    isSingleWord: entry["single_word"]?.boolean ?? false,
                    stripsLeft: entry["lstrip"]?.boolean ?? false,
                    stripsRight: entry["rstrip"]?.boolean ?? false,
                    isNormalised: entry["normalized"]?.boolean ?? !isSpecial))
        }
        return tokens
    }
}
