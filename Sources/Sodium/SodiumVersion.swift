import CSodium

/// The libsodium that this process was linked to, such as "1.0.18".
public var sodiumVersion: String { String(cString: sodium_version_string()) }
