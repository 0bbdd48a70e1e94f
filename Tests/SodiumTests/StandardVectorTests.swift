import Sodium
import Testing

/// The primitives reproduce the vectors printed in their standards.
@Suite struct StandardVectorTests {
    private func hex(_ text: String) -> [UInt8] { bytesFromHex(text)! }
    private func secret(_ text: String) -> SecretBytes { SecretBytes(copying: hex(text)) }
    private func hexOf(_ secret: SecretBytes) -> String { secret.withUnsafeBytes { hexString($0) } }

    @Test(
        "X25519: RFC 7748, section 5.2",
        arguments: [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
            ),
            (
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
            ),
        ] as [(String, String, String)])
    func x25519(scalar: String, point: String, product: String) throws {
        let shared = try #require(
            KeyAgreement.sharedSecret(secretKey: secret(scalar), peerPublicKey: hex(point)))
        #expect(hexOf(shared) == product)
    }

    @Test("X25519: RFC 7748, one step of the iterated vector, through the base point")
    func x25519Base() {
        let nine = "09" + String(repeating: "0", count: 62)
        #expect(
            hexString(KeyAgreement.publicKey(of: secret(nine)))
                == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
    }

    @Test("X25519: RFC 7748, section 5.2, a thousand iterations")
    func x25519Iterated() throws {
        var scalar = [9] + [UInt8](repeating: 0, count: 31)
        var point = scalar
        for _ in 0..<1000 {
            let product = try #require(
                KeyAgreement.sharedSecret(secretKey: SecretBytes(copying: scalar), peerPublicKey: point))
            (scalar, point) = (product.withUnsafeBytes { Array($0) }, scalar)
        }
        #expect(hexString(scalar) == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")
    }

    @Test("X25519: RFC 7748, section 6.1, both ends agree")
    func x25519Agreement() throws {
        let alice = secret("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
        let bob = secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
        let keys = [alice, bob].map { KeyAgreement.publicKey(of: $0) }
        #expect(hexString(keys[0]) == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        #expect(hexString(keys[1]) == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        for (own, peer) in [(alice, keys[1]), (bob, keys[0])] {
            let shared = try #require(KeyAgreement.sharedSecret(secretKey: own, peerPublicKey: peer))
            #expect(hexOf(shared) == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        }
    }

    @Test(
        "Keys of low order yield no shared secret",
        arguments: [
            String(repeating: "0", count: 64),
            "01" + String(repeating: "0", count: 62),
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ])
    func lowOrder(point: String) {
        let key = SecretBytes(copying: [UInt8](repeating: 7, count: 32))
        #expect(KeyAgreement.sharedSecret(secretKey: key, peerPublicKey: hex(point)) == nil)
        #expect(!KeyAgreement.isUsable(publicKey: hex(point)))
    }

    @Test(
        "ChaCha20: RFC 8439, appendix A.1, vectors 1 to 4",
        arguments: [
            (
                String(repeating: "0", count: 64), UInt64(0),
                "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                    + "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
            ),
            (
                String(repeating: "0", count: 64), 1,
                "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
                    + "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
            ),
            (
                String(repeating: "0", count: 63) + "1", 1,
                "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
                    + "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"
            ),
            (
                "00ff" + String(repeating: "0", count: 60), 2,
                "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
                    + "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096"
            ),
        ] as [(String, UInt64, String)])
    func chacha20(key: String, block: UInt64, stream: String) {
        var output = [UInt8](repeating: 0xaa, count: 64)
        output.withUnsafeMutableBytes {
            ChaChaStream(key: secret(key)).generate(into: $0, atByteOffset: block * 64)
        }
        #expect(hexString(output) == stream)
    }

    @Test(
        "HKDF-SHA-256: RFC 5869, appendix A, cases 1 to 3",
        arguments: [
            (
                String(repeating: "0b", count: 22), "000102030405060708090a0b0c",
                "f0f1f2f3f4f5f6f7f8f9",
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
            ),
            (
                hexString(0x00...0x4f), hexString(0x60...0xaf), hexString(0xb0...0xff),
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac78272"
                    + "71cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f"
                    + "1d87"
            ),
            (
                String(repeating: "0b", count: 22), "", "",
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
            ),
        ] as [(String, String, String, String)])
    func hkdf(input: String, salt: String, info: String, output: String) {
        let derived = KeyDerivation.hkdf(
            salt: hex(salt), inputKey: secret(input), info: hex(info), count: output.count / 2)
        #expect(hexOf(derived) == output)
    }

    @Test(
        "Ed25519: RFC 8032, section 7.1, tests 1 to 3",
        arguments: [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                    + "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                    + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                    + "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
            ),
        ] as [(String, String, String, String)])
    func ed25519(seed: String, publicKey: String, message: String, signature: String) {
        let key = SigningKey(seed: secret(seed))
        #expect(hexString(key.verifyingKey.bytes) == publicKey)
        #expect(hexString(key.sign(hex(message))) == signature)
        #expect(key.verifyingKey.accepts(signature: hex(signature), over: hex(message)))
        #expect(!key.verifyingKey.accepts(signature: hex(signature), over: hex(message) + [0]))
    }

    @Test("BLAKE2b-256: the empty string and \"abc\", as libb2 and Python's hashlib print them")
    func blake2b() {
        #expect(
            Digest.of([]).hex == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8")
        #expect(
            Digest.of(Array("abc".utf8)).hex
                == "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")
    }

    @Test("XChaCha20-Poly1305: draft-irtf-cfrg-xchacha, section A.3.1")
    func xchacha() throws {
        let box =
            hexString(0x40...0x57)
            + "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
            + "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
            + "21f9664c97637da9768812f615c68b13b52e" + "c0875924c1c7987947deafd8780acf49"
        let data = hex("50515253c0c1c2c3c4c5c6c7")
        let key = secret(hexString(0x80...0x9f))
        let opened = try #require(SealedBox.open(hex(box), key: key, associatedData: data))
        #expect(
            opened.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
                == "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
                + "future, sunscreen would be it.")
        for position in [0, 24, 60, 137, 150] {
            var altered = hex(box)
            altered[position] ^= 1
            #expect(SealedBox.open(altered, key: key, associatedData: data) == nil)
        }
        #expect(SealedBox.open(hex(box), key: key, associatedData: data + [0]) == nil)
        let sealed = SealedBox.seal(opened, key: key, associatedData: data, nonce: Array(0x40...0x57))
        #expect(hexString(sealed) == box)
    }
}

private func hexString(_ range: ClosedRange<UInt8>) -> String { Sodium.hexString(Array(range)) }
private func hexString(_ bytes: [UInt8]) -> String { Sodium.hexString(bytes) }
