"""Why the ledger refuses a change: a code, its HTTP status and its sentence in both languages."""

from typing import NamedTuple

from promolift.foundation.localized_text import LocalizedText


class Refusal(NamedTuple):
    """How a refusal is answered: its status, and the words in Chinese and English."""

    status: int
    zh: str
    en: str

    @property
    def words(self) -> LocalizedText:
        """Both languages."""
        return LocalizedText(zh=self.zh, en=self.en)


REFUSALS = {
    "above_cap": Refusal(409, "金额超过该优惠的上限", "The amount is more than this offer takes off"),
    "above_order": Refusal(409, "优惠金额超过订单金额", "The amount is more than the order is worth"),
    "already_confirmed": Refusal(409, "该优惠已核销", "This was paid already"),
    "already_expired": Refusal(409, "预占已过期，请重新发起", "The reservation has expired; reserve anew"),
    "already_rolled_back": Refusal(409, "该核销已撤销", "This was cancelled already"),
    "amount_invalid": Refusal(422, "金额无效", "The amount is not valid"),
    "below_threshold": Refusal(409, "未达到使用门槛", "The cart does not have enough for it yet"),
    "annotation_unknown": Refusal(404, "标注不存在", "There is no such annotation"),
    "campaign_unknown": Refusal(404, "活动不存在", "There is no such campaign"),
    "cap": Refusal(409, "已达到优惠上限，不能再减", "Nothing more can be taken off this cart"),
    "code_blocked": Refusal(409, "优惠码已停用", "This code was blocked"),
    "code_expired": Refusal(409, "优惠码已过期", "This code is no longer valid"),
    "code_not_issued": Refusal(409, "优惠码尚未发放", "This code was not given to anybody yet"),
    "code_of_another": Refusal(409, "优惠码不属于该客户", "This code was given to another customer"),
    "code_unknown": Refusal(404, "优惠码不存在", "There is no such code"),
    "code_used": Refusal(409, "优惠码已使用", "This code was used already"),
    "consent_missing": Refusal(422, "客户不接受营销信息", "The customer does not want messages"),
    "currency_differs": Refusal(422, "购物车的币种与优惠的币种不同", "The cart is in another currency than the offers"),
    "currency_needed": Refusal(422, "请注明购物车的币种", "Name the currency of the cart"),
    "customer_erased": Refusal(422, "该客户的数据已删除", "This customer was erased"),
    "decision_of_another": Refusal(422, "该决策属于其他客户或优惠", "This decision was for another customer or offer"),
    "decision_unknown": Refusal(404, "决策记录不存在", "There is no such decision"),
    "design_fixed": Refusal(422, "实验设计已固定，请换一个名称", "A running experiment is fixed; use a new name"),
    "experiment_unknown": Refusal(404, "该活动没有实验", "This campaign has no experiment"),
    "expired": Refusal(409, "活动已结束", "This offer has ended"),
    "idempotency_key_reused": Refusal(422, "该幂等键已用于其他内容", "This Idempotency-Key came with another payload"),
    "key_unknown": Refusal(404, "密钥不存在", "There is no such key"),
    "last_admin_key": Refusal(
        409, "这是最后一个管理员密钥，请先新建一个再吊销", "This is the last admin key; make another one first"
    ),
    "limit_id_taken": Refusal(422, "限额编号重复", "Two limits have the same id"),
    "limit_reached": Refusal(409, "优惠额度已用完", "The limit of this offer is reached"),
    "message_over": Refusal(
        409, "该消息已发送、已过期或内容已删除", "This message went out, expired, or is kept no longer"
    ),
    "message_unknown": Refusal(404, "消息不存在", "There is no such message"),
    "message_untrue": Refusal(422, "无法为该优惠写出真实的文案", "No true message can be written for this offer"),
    "not_eligible": Refusal(409, "购物车中没有适用的商品", "Nothing in the cart is covered by it"),
    "not_stackable": Refusal(409, "不能与其他优惠同时使用", "It cannot be used together with another offer"),
    "not_started": Refusal(409, "活动尚未开始", "This offer has not begun yet"),
    "previous_missing": Refusal(409, "没有更早的发布版本", "There is no release before the present one"),
    "promotion_unknown": Refusal(404, "促销不存在", "There is no such promotion"),
    "redemption_differs": Refusal(409, "该核销编号已用于其他内容", "This redemption_id was used for something else"),
    "redemption_unknown": Refusal(404, "核销记录不存在", "There is no such redemption"),
    "release_ended": Refusal(
        409, "该发布版本的有效期已结束，请重新制定计划", "The days of this release are over; plan anew"
    ),
    "release_missing": Refusal(409, "该活动还没有发布版本", "This campaign has no release yet"),
    "results_missing": Refusal(404, "还没有学习结果", "Nothing was learned yet"),
    "terms_gone": Refusal(422, "该决策的条款已不存在", "The terms of this decision are gone"),
    "version_changed": Refusal(412, "内容已被他人修改，请重新读取", "It was changed meanwhile; read it again"),
    "version_needed": Refusal(428, "请先读取，再带上版本号提交", "Read it first and send its version"),
    "webhook_unknown": Refusal(404, "回调地址不存在", "There is no such webhook"),
}
