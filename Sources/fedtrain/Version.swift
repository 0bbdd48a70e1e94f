import FedTrain

/// What `fedtrain --version` says.
enum Version {
    static let text = "fedtrain \(FedTrainVersion.text)"
}
