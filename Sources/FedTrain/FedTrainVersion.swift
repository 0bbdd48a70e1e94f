/// The version that ledgers and reports name as the software that made them.
public enum FedTrainVersion {
    public static let text = "0.1.0"
}
