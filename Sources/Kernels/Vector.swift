/// Eight floats at a time: the shared vocabulary of the elementwise kernels.
///
/// Plain multiplication and addition only. `addingProduct` would call a software routine per lane in a
/// build for plain x86-64, and fusing would make results depend on the machine.
package typealias Float8 = SIMD8<Float>

@inline(__always)
package func load8(_ pointer: UnsafePointer<Float>) -> Float8 {
    UnsafeRawPointer(pointer).loadUnaligned(as: Float8.self)
}

@inline(__always)
package func load8(_ pointer: UnsafeMutablePointer<Float>) -> Float8 {
    UnsafeRawPointer(pointer).loadUnaligned(as: Float8.self)
}

@inline(__always)
package func store8(_ pointer: UnsafeMutablePointer<Float>, _ value: Float8) {
    UnsafeMutableRawPointer(pointer).storeBytes(of: value, as: Float8.self)
}

/// The sum of the lanes in a fixed order.
@inline(__always)
package func sum8(_ value: Float8) -> Float {
    let four = value.lowHalf + value.highHalf
    let two = four.lowHalf + four.highHalf
    return two[0] + two[1]
}

/// eˣ within two units in the last place for x ≥ −87; smaller arguments give 0, those above 88.7 ∞, NaN
/// stays NaN.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2; e^r by a polynomial of degree 6 [Cephes expf], 2ⁿ through the
/// exponent bits. Rounding to n adds and subtracts 1.5·2²³, because the library's `rounded()` would fall
/// back to one lane at a time.
@inline(__always)
package func exp8(_ x: Float8) -> Float8 {
    let magic: Float = 0x1.8p23
    let clamped = x.replacing(with: -87, where: x .< -87).replacing(with: 89, where: x .> 89)
    let shifted = clamped * 1.442_695_04 + magic
    let n = shifted - magic
    let r = (clamped - n * 0.693_359_375) - n * -2.121_944_4e-4
    var p = r * 1.987_569_15e-4 + 1.398_199_95e-3
    p = p * r + 8.333_451_9e-3
    p = p * r + 4.166_579_6e-2
    p = p * r + 1.666_666_55e-1
    p = p * r + 5.000_000_1e-1
    p = p * r * r + r + 1
    // 2ⁿ in two factors, so that n = 128 stays inside the exponent's range.
    let exponent = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &- 0x4B40_0000
    let half = exponent &>> 1
    let first = unsafeBitCast((half &+ 127) &<< 23, to: Float8.self)
    let second = unsafeBitCast((exponent &- half &+ 127) &<< 23, to: Float8.self)
    return (p * first * second).replacing(with: 0, where: x .< -87)
}

/// eˣ of one number, by the same arithmetic.
@inline(__always)
package func exp1(_ x: Float) -> Float { exp8(Float8(repeating: x))[0] }
