/// The L2 norm of an update and its scaling, in double precision, so that neither huge nor
/// subnormal coordinates overflow or vanish on the way.
enum Clipping {
    /// ‖x‖₂; NaN or infinite exactly when a coordinate is.
    static func norm(_ x: UnsafeBufferPointer<Float>) -> Double {
        guard let base = x.baseAddress else { return 0 }
        // Squares of finite floats stay below 2^257, so only NaN and infinity spoil the sum.
        var lanes = SIMD8<Double>.zero
        var index = 0
        while index + 8 <= x.count {
            let v = UnsafeRawPointer(base + index).loadUnaligned(as: SIMD8<Float>.self)
            let wide = SIMD8<Double>(v)
            lanes += wide * wide
            index += 8
        }
        var sum = lanes.sum()
        while index < x.count {
            sum += Double(base[index]) * Double(base[index])
            index += 1
        }
        return sum.squareRoot()
    }

    /// output = factor · x
    static func scale(
        _ x: UnsafeBufferPointer<Float>, by factor: Double,
        into output: UnsafeMutableBufferPointer<Float>
    ) {
        let (source, target) = (x.baseAddress!, output.baseAddress!)
        for index in 0..<x.count { target[index] = Float(Double(source[index]) * factor) }
    }
}
