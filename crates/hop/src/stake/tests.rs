//! What tokens cost.

use policy::Price;
use proto::v1;

use super::usd;

#[test]
fn cached_tokens_have_their_own_price_and_never_exceed_the_prompt() {
    let price = Price {
        input_usd_per_million_tokens: 3.0,
        cached_input_usd_per_million_tokens: 1.0,
        output_usd_per_million_tokens: 10.0,
    };
    let check = |prompt_tokens, cached_prompt_tokens, output_tokens, millionths: f64| {
        let is = usd(&price, &v1::Usage { prompt_tokens, cached_prompt_tokens, output_tokens });
        assert!((is * 1e6 - millionths).abs() < 1e-6, "{is}");
    };
    check(0, 0, 0, 0.0);
    check(100, 0, 10, 400.0);
    check(100, 40, 10, 320.0);
    check(100, u32::MAX, 0, 100.0);
    check(u32::MAX, 0, u32::MAX, 13.0 * f64::from(u32::MAX));
}
