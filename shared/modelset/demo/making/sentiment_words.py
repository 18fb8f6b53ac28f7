"""Words with the feeling that they carry, from -4 to 4, judged by ourselves."""

from __future__ import annotations

_FEELINGS = {
    3.2: "best wonderful excellent amazing perfect brilliant superb fantastic",
    2.8: "love loved loves great awesome delightful beautiful joy happiest",
    2.3: "happy glad enjoy enjoyed enjoys charming success won pleased lovely",
    1.9: "good nice like likes liked win fun smile thank thanks welcome",
    1.4: "useful clean helpful easy fresh fast works safe kind warm calm",
    -1.4: "slow dull dirty weak late noisy empty cold lost tired",
    -1.9: "bad wrong poor annoying boring ugly broken sad dislike fails failed",
    -2.3: "angry unhappy useless lose pain problem problems trouble disappointing",
    -2.8: "hate hated hates awful terrible nasty disgusting fear cruel",
    -3.2: "worst horrible dreadful disaster tragic evil miserable",
}

FEELINGS = {word: mean for mean, words in _FEELINGS.items() for word in words.split()}
