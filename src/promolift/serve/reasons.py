"""The code of a refusal in; why, in words that a shop can show its customer or its staff, in both languages, out."""

from promolift.terms import Words


def _w(zh: str, en: str) -> Words:
    return Words(zh=zh, en=en)


REASONS: dict[str, Words] = {
    "above_cap": _w("金额超过该优惠的上限", "The amount is more than this offer takes off"),
    "already_confirmed": _w("该优惠已核销", "This was paid already"),
    "already_expired": _w("预占已过期，请重新发起", "The reservation has expired; reserve anew"),
    "already_rolled_back": _w("该核销已撤销", "This was cancelled already"),
    "amount_invalid": _w("金额无效", "The amount is not valid"),
    "below_threshold": _w("未达到使用门槛", "The cart does not have enough for it yet"),
    "campaign_unknown": _w("活动不存在", "There is no such campaign"),
    "cap": _w("已达到优惠上限，不能再减", "Nothing more can be taken off this cart"),
    "code_expired": _w("优惠码已过期", "This code is no longer valid"),
    "code_not_issued": _w("优惠码尚未发放", "This code was not given to anybody yet"),
    "code_of_another": _w("优惠码不属于该客户", "This code was given to another customer"),
    "code_unknown": _w("优惠码不存在", "There is no such code"),
    "code_used": _w("优惠码已使用", "This code was used already"),
    "consent_missing": _w("客户不接受营销信息", "The customer does not want messages"),
    "customer_erased": _w("该客户的数据已删除", "This customer was erased"),
    "decision_of_another": _w("该决策不是给这位客户或这个优惠的", "This decision was for another customer or offer"),
    "decision_unknown": _w("决策记录不存在", "There is no such decision"),
    "design_fixed": _w("实验设计已固定，请换一个名称", "A running experiment's design is fixed; use a new name"),
    "experiment_unknown": _w("该活动没有实验", "This campaign has no experiment"),
    "expired": _w("活动已结束", "This offer has ended"),
    "idempotency_key_reused": _w("该幂等键已用于其他内容", "This Idempotency-Key came with another payload"),
    "key_unknown": _w("密钥不存在", "There is no such key"),
    "limit_id_taken": _w("限额编号重复", "Two limits have the same id"),
    "limit_reached": _w("优惠额度已用完", "The limit of this offer is reached"),
    "message_untrue": _w("无法为该优惠写出真实的文案", "No true message can be written for this offer"),
    "not_eligible": _w("购物车中没有适用的商品", "Nothing in the cart is covered by it"),
    "not_stackable": _w("不能与其他优惠同时使用", "It cannot be used together with another offer"),
    "not_started": _w("活动尚未开始", "This offer has not begun yet"),
    "previous_missing": _w("没有更早的发布版本", "There is no release before the present one"),
    "promotion_unknown": _w("促销不存在", "There is no such promotion"),
    "redemption_differs": _w("该核销编号已用于其他内容", "This redemption_id was used for something else"),
    "redemption_unknown": _w("核销记录不存在", "There is no such redemption"),
    "release_missing": _w("该活动还没有发布版本", "This campaign has no release yet"),
    "terms_gone": _w("该决策的条款已不存在", "The terms of this decision are gone"),
    "version_changed": _w("内容已被他人修改，请重新读取", "It was changed meanwhile; read it again"),
    "version_needed": _w("请先读取，再带上版本号提交", "Read it first and send its version"),
    "webhook_unknown": _w("回调地址不存在", "There is no such webhook"),
}
