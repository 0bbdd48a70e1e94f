import COpenBLAS

/// Version and build of the OpenBLAS that this process was linked to, and the processor it chose.
public var blasVersion: String {
    String(cString: openblas_get_config()) + ", " + String(cString: openblas_get_corename())
}
