import Glibc
import Models

/// How much of the owner's model an emulator hands out as it is.
public struct Disclosure: Codable, Sendable, Equatable {
    /// Share of the owner's parameters that travel bit for bit.
    public let exactFraction: Double
    /// Share of the owner's parameters to which some shipped tensor of the same shape has a cosine above
    /// `nearCosine`; exact ones included.
    public let nearFraction: Double
    /// The same two for the withheld blocks alone.
    public let exactMiddleFraction: Double
    public let nearMiddleFraction: Double
    public let ownerParameters: Int
    public let shippedParameters: Int

    public static let nearCosine = 0.99

    public init(full: LanguageModel, emulator: LanguageModel, middle: [Int]) {
        var shipped: [[Int]: [[Float]]] = [:]
        for tensor in emulator.layout.tensors {
            emulator.withTensor(tensor) { shipped[tensor.shape, default: []].append(Array($0)) }
        }
        var (exact, near, exactMiddle, nearMiddle, middleCount) = (0, 0, 0, 0, 0)
        for tensor in full.layout.tensors {
            let values = full.withTensor(tensor) { Array($0) }
            let candidates = shipped[tensor.shape] ?? []
            let isExact = candidates.contains(values)
            let isNear = isExact || candidates.contains { cosine($0, values) > Self.nearCosine }
            let isMiddle = tensor.block.map(middle.contains) ?? false
            if isExact { exact += tensor.count }
            if isNear { near += tensor.count }
            guard isMiddle else { continue }
            middleCount += tensor.count
            if isExact { exactMiddle += tensor.count }
            if isNear { nearMiddle += tensor.count }
        }
        ownerParameters = full.parameterCount
        shippedParameters = emulator.parameterCount
        exactFraction = Double(exact) / Double(ownerParameters)
        nearFraction = Double(near) / Double(ownerParameters)
        exactMiddleFraction = Double(exactMiddle) / Double(middleCount)
        nearMiddleFraction = Double(nearMiddle) / Double(middleCount)
    }
}

/// Cosine of the angle between two vectors, their means taken off: the gains of all norms lie near 1 and
/// would all look alike.
private func cosine(_ left: [Float], _ right: [Float]) -> Double {
    let count = Double(left.count)
    let leftMean = left.reduce(0.0) { $0 + Double($1) } / count
    let rightMean = right.reduce(0.0) { $0 + Double($1) } / count
    var (inner, leftSquares, rightSquares) = (0.0, 0.0, 0.0)
    for (one, other) in zip(left, right) {
        let (a, b) = (Double(one) - leftMean, Double(other) - rightMean)
        inner += a * b
        leftSquares += a * a
        rightSquares += b * b
    }
    let scale = (leftSquares * rightSquares).squareRoot()
    return scale > 0 ? inner / scale : 0
}
