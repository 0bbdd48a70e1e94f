extension Fingerprint {
    /// 256 words, one for each value of a byte, in alphabetical order; no two share their first four letters.
    package static let wordList: [String] = """
        able acid acorn actor adult agent album alder alley amber angle ankle apple apron arena arrow
        ashes aspen atlas attic autumn award bacon badge baker bamboo banjo barrel basil basket beach
        beaver bench berry bishop blanket bonus border bottle bouquet bowl branch bread breeze brick
        bridge bronze brush bucket buffalo bundle butter cabin cactus camel candle canoe canvas carbon
        carpet castle cattle cedar cello chalk cherry chimney circle citrus clay clover cobalt coffee
        collar comet compass copper coral cotton cousin cradle crane crystal cushion dancer dawn donkey
        dragon drawer drum eagle early earth echo elbow elder ember engine envelope evening fabric
        falcon farmer feather fennel fiddle finger flame flute forest fossil fountain fox galaxy garden
        garlic gazelle ginger giraffe glacier glove goblet gold granite grape guitar hammer harbor
        horizon hotel husky igloo indigo insect island ivory jacket jaguar jasmine jersey jigsaw journey
        jungle kayak kernel kettle kitten koala ladder lagoon lantern lemon lettuce library lilac linen
        lizard lobster locket lumber lynx magnet mango maple marble meadow melon mercury mirror monkey
        mosaic mountain muffin museum mustard napkin nectar needle nickel noodle north nutmeg oasis
        ocean olive onion opal orbit orchid otter oyster paddle palace panda paper parrot peach pebble
        pepper picnic pigeon pillow pirate planet plum pocket poet pony poppy prism pumpkin puzzle
        quartz quilt rabbit radish raven ribbon river rocket saddle salmon satin scarf shadow silver
        sparrow spider spruce stable summer sunset swan table tango teapot thunder tiger timber tomato
        tulip tunnel turtle umbrella valley velvet violin walnut walrus window winter wizard yellow
        yogurt zebra zenith
        """.split(whereSeparator: \.isWhitespace).map(String.init)
}
