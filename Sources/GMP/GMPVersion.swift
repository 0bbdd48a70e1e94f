import CGMP

/// The GMP whose interface this build was made for, such as "6.2.1".
public var gmpVersion: String {
    "\(__GNU_MP_VERSION).\(__GNU_MP_VERSION_MINOR).\(__GNU_MP_VERSION_PATCHLEVEL)"
}
